#include "tool/doctor_network.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "io/loop.hpp"
#include "io/resolve.hpp"
#include "io/udp_socket.hpp"
#include "wire/stun.hpp"

namespace ztna::tool {
namespace {

using namespace std::chrono_literals;
using base::Address;
using wire::stun::Attribute;

// When what is unanswered is sent again, until `answer_limit`.
constexpr base::Duration resend_interval = 250ms;
// Once the first ports have answered, the second ones get so long: nobody but netcheck needs them.
constexpr base::Duration second_patience = 750ms;

std::string waiting_for(const std::string& what, base::Duration limit) {
  return "waiting for " + what + ", " + std::to_string(limit / 1s) + " s at most";
}

class Questions : io::UdpSocket::Handler {
 public:
  Questions(io::Loop& loop, const std::vector<NameFacts>& names, std::uint16_t second_port,
            base::Random& random, const DoctorProgress& progress)
      : loop_(loop),
        random_(random),
        progress_(progress),
        timer_(loop, [this] { tick(); }),
        begun_(io::Loop::now()) {
    for (const NameFacts& name : names) {
      for (const Address& server : name.addresses) {
        add(name.host, server, Kind::first);
        add(name.host, server, Kind::classic);
        if (server.port() != second_port) {
          add(name.host, server.with_port(second_port), Kind::second);
        }
      }
    }
  }

  [[nodiscard]] std::vector<AskedFacts> run() {
    open(v4_, Address::v4({}, 0));
    open(v6_, Address::v6({}, 0));
    for (Question& question : questions_) send(question);
    timer_.set(begun_ + resend_interval);
    if (!done()) loop_.run();
    std::vector<AskedFacts> all;
    for (Question& question : questions_) {
      if (question.kind != Kind::classic) all.push_back(std::move(question.facts));
    }
    return all;
  }

 private:
  // `classic` asks the first port in the form of RFC 3489, whose answer names another port where
  // that of RFC 5780 does not: an Intermediate with two ports on one address.
  enum class Kind : std::uint8_t { first, classic, second };
  struct Question {
    Kind kind = Kind::first;
    AskedFacts facts;
    wire::stun::TransactionId id;
    base::Time sent{};
  };
  struct Family {
    std::optional<io::UdpSocket> socket;
    std::string why_not;
  };

  void add(const base::HostPort& host, const Address& server, Kind kind) {
    Question question;
    question.kind = kind;
    question.facts.host = host;
    question.facts.server = server;
    question.facts.second = kind == Kind::second;
    question.id = wire::stun::TransactionId::make(random_);
    if (kind == Kind::classic) question.id.octets[0] = 0xff;  // no magic cookie begins so
    questions_.push_back(std::move(question));
  }

  void open(Family& family, const Address& any) {
    io::UdpSocket::Options options;
    options.dual_stack = false;
    auto socket = io::UdpSocket::bind(loop_, any, options, *this);
    if (socket) {
      family.socket = std::move(*socket);
    } else {
      family.why_not = socket.error().message();
    }
  }

  void send(Question& question) {
    Family& family = question.facts.server.is_v4() ? v4_ : v6_;
    if (!family.socket) {
      question.facts.not_sent = family.why_not;
      return;
    }
    std::array<std::uint8_t, 64> buffer{};
    wire::stun::Writer writer(buffer, wire::stun::Class::request, wire::stun::binding, question.id);
    if (question.kind != Kind::classic) writer.add_fingerprint();
    io::OutgoingDatagrams out;
    out.to = question.facts.server;
    out.bytes = writer.message();
    const io::UdpCounters before = family.socket->counters();
    question.sent = io::Loop::now();
    question.facts.not_sent.clear();
    if (family.socket->send(out).status != io::SendStatus::failed) return;
    question.facts.not_sent = "refused by this machine";
    const io::UdpCounters after = family.socket->counters();
    for (std::size_t i = 0; i < io::udp_errors; ++i) {
      if (after.send_errors.at(i) == before.send_errors.at(i)) continue;
      question.facts.not_sent = to_string(static_cast<io::UdpError>(i));
    }
  }

  void on_datagram(const io::Datagram& datagram) override {
    const auto message = wire::stun::Message::parse(datagram.payload);
    if (!message || message->message_class() != wire::stun::Class::success) return;
    const auto question = std::ranges::find_if(questions_, [&](const Question& each) {
      return each.id == message->transaction() && each.facts.server == datagram.from;
    });
    if (question == questions_.end() || question->facts.mapped) return;
    question->facts.mapped = message->address(Attribute::xor_mapped_address);
    if (!question->facts.mapped) {
      question->facts.mapped = message->address(Attribute::mapped_address);
    }
    question->facts.local = datagram.to;
    question->facts.rtt = io::Loop::now() - question->sent;
    if (question->kind != Kind::second) learn_second_port(*message, datagram.from);
    if (done()) loop_.stop();
  }

  void learn_second_port(const wire::stun::Message& answer, const Address& from) {
    for (const Attribute attribute : {Attribute::other_address, Attribute::changed_address}) {
      const auto other = answer.address(attribute);
      if (other && other->port() != from.port()) use_second_port(from, other->port());
    }
  }

  void use_second_port(const Address& first, std::uint16_t port) {
    for (Question& question : questions_) {
      AskedFacts& facts = question.facts;
      if (!facts.second || facts.mapped || facts.server.ip() != first.ip()) continue;
      if (std::exchange(facts.server, first.with_port(port)).port() != port) send(question);
    }
  }

  [[nodiscard]] bool done(Kind kind) const {
    return std::ranges::all_of(questions_, [kind](const Question& question) {
      return question.kind != kind || question.facts.mapped || !question.facts.not_sent.empty();
    });
  }
  // Not before the answer that may name the second port.
  [[nodiscard]] bool done() const {
    return done(Kind::first) && done(Kind::classic) && done(Kind::second);
  }

  void tick() {
    const base::Duration passed = io::Loop::now() - begun_;
    if (done() || passed >= (done(Kind::first) ? second_patience : answer_limit)) {
      return loop_.stop();
    }
    std::string silent;
    for (Question& question : questions_) {
      if (question.facts.mapped) continue;
      send(question);
      if (question.kind == Kind::classic) continue;
      silent += (silent.empty() ? "" : ", ") + question.facts.server.to_string();
    }
    if (passed >= progress_after && !std::exchange(told_, true)) {
      progress_(waiting_for("UDP from " + silent, answer_limit));
    }
    timer_.set(io::Loop::now() + std::min(resend_interval, answer_limit - passed));
  }

  io::Loop& loop_;
  base::Random& random_;
  const DoctorProgress& progress_;
  std::vector<Question> questions_;
  Family v4_, v6_;
  io::Timer timer_;
  base::Time begun_;
  bool told_ = false;
};

}  // namespace

std::vector<NameFacts> look_up(const std::vector<base::HostPort>& hosts,
                               const DoctorProgress& progress) {
  auto loop = std::make_unique<io::Loop>();
  std::vector<NameFacts> names(hosts.size());
  std::vector<std::unique_ptr<io::Resolve>> lookups;
  std::size_t pending = hosts.size();
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    names[i].host = hosts[i];
    names[i].literal = base::Address::parse_ip(hosts[i].host, 0).has_value();
    names[i].in_time = false;
    lookups.push_back(std::make_unique<io::Resolve>(*loop, hosts[i], [&, i](const auto& found) {
      for (const Address& address : found) {
        if (std::ranges::find(names[i].addresses, address) == names[i].addresses.end()) {
          names[i].addresses.push_back(address);
        }
      }
      names[i].in_time = true;
      if (--pending == 0) loop->stop();
    }));
  }
  {
    io::Timer limit(*loop, [&] { loop->stop(); });
    io::Timer patience(*loop, [&] { progress(waiting_for("the resolver", lookup_limit)); });
    limit.set(io::Loop::now() + lookup_limit);
    patience.set(io::Loop::now() + progress_after);
    if (pending > 0) loop->run();
  }
  lookups.clear();
  // getaddrinfo() cannot be interrupted, and the end of its loop waits for it. Where a resolver is
  // silent, the loop stays until the process ends.
  if (pending > 0) static_cast<void>(loop.release());
  return names;
}

std::vector<AskedFacts> ask_by_udp(const std::vector<NameFacts>& names, std::uint16_t second_port,
                                   base::Random& random, const DoctorProgress& progress) {
  io::Loop loop;
  return Questions(loop, names, second_port, random, progress).run();
}

std::optional<base::Error> why_not_bound(const Address& address, bool dual_stack) {
  class Nobody : public io::UdpSocket::Handler {
    void on_datagram(const io::Datagram& /*datagram*/) override {}
  };
  io::Loop loop;
  Nobody nobody;
  io::UdpSocket::Options options;
  options.dual_stack = dual_stack;
  const auto socket = io::UdpSocket::bind(loop, address, options, nobody);
  if (socket) return std::nullopt;
  return socket.error();
}

}  // namespace ztna::tool
