#include "tool/validate_reach.hpp"

#include <map>

#include "io/http_client.hpp"
#include "io/loop.hpp"
#include "io/udp_socket.hpp"
#include "logging/format.hpp"
#include "tool/status_json.hpp"

namespace ztna::tool {
namespace {

using namespace std::chrono_literals;
using base::Address;

constexpr base::Duration http_limit = 10s;
constexpr base::Duration resend_interval = 1s;
constexpr int most_questions = 3;
// What is not of a game's stream of packets begins so, in the Quake family.
constexpr std::string_view out_of_band = "\xff\xff\xff\xff";

base::BytesView octets_of(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

class GameQuestion : io::UdpSocket::Handler {
 public:
  explicit GameQuestion(const Address& server) : server_(server), timer_(loop_, [this] { ask(); }) {
    facts_.local = server;
  }

  ReachedFacts run() {
    const Address any = server_.is_v4() ? Address::v4({}, 0) : Address::v6({}, 0);
    auto socket = io::UdpSocket::bind(loop_, any, {}, *this);
    if (!socket) {
      facts_.error = socket.error();
      return facts_;
    }
    socket_.emplace(std::move(*socket));
    ask();
    loop_.run();
    socket_.reset();
    return facts_;
  }

 private:
  void ask() {
    if (asked_++ == most_questions) {
      facts_.error = base::Error{base::ErrorCode::timed_out, "no answer within 3 s", {}, {}};
      return loop_.stop();
    }
    const std::string question = std::string(out_of_band) + "getinfo ztna";
    io::OutgoingDatagrams out;
    out.to = server_;
    out.bytes = octets_of(question);
    static_cast<void>(socket_->send(out));
    timer_.set(io::Loop::now() + resend_interval);
  }

  void on_datagram(const io::Datagram& datagram) override {
    if (datagram.from != server_) return;
    const auto info = read_game_info(
        {reinterpret_cast<const char*>(datagram.payload.data()), datagram.payload.size()});
    if (!info) return;
    facts_.game = *info;
    loop_.stop();
  }

  Address server_;
  io::Loop loop_;
  io::Timer timer_;
  std::optional<io::UdpSocket> socket_;
  ReachedFacts facts_;
  int asked_ = 0;
};

}  // namespace

std::optional<Address> local_address_of(std::string_view status, const std::string& service,
                                        std::string_view protocol) {
  const auto json = parse_status(status);
  if (!json) return std::nullopt;
  const std::string scheme = std::string(protocol) + "://";
  for (const Json& forward : list(*json, "forwards")) {
    const std::string listen = text(forward, "listen", "");
    if (text(forward, "service") != service || !listen.starts_with(scheme)) continue;
    if (const auto address = Address::parse(listen.substr(scheme.size()))) return *address;
  }
  for (const Json& each : list(*json, "services")) {
    if (text(each, "name") != service || text(each, "protocol") != protocol) continue;
    if (const auto address = Address::parse(text(each, "auto_forward", ""))) return *address;
  }
  return std::nullopt;
}

ReachedFacts fetch(const Address& local) {
  ReachedFacts facts;
  facts.local = local;
  io::HttpClientRequest request;
  request.tcp = {local.ip(), local.port()};
  request.timeout = request.at_most = http_limit;
  const base::Time begun = io::Loop::now();
  const auto answer = io::http_request(request);
  facts.ms = base::to_ms(io::Loop::now() - begun);
  if (answer) {
    facts.http_status = answer->status;
    facts.octets = answer->body.size();
  } else {
    facts.error = answer.error();
  }
  return facts;
}

ReachedFacts ask_game(const Address& local) { return GameQuestion(local).run(); }

std::optional<std::string> read_game_info(std::string_view datagram) {
  const std::string begin = std::string(out_of_band) + "infoResponse\n\\";
  if (!datagram.starts_with(begin)) return std::nullopt;
  std::string_view rest = datagram.substr(begin.size());
  // \key\value\key\value…
  std::map<std::string, std::string, std::less<>> info;
  const auto next = [&rest] {
    const auto end = rest.find('\\');
    const std::string_view word = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    return std::string(word);
  };
  while (!rest.empty()) {
    const std::string key = next();
    info[key] = next();
  }
  const auto value = [&](std::string_view key) {
    const auto found = info.find(key);
    return found == info.end() || found->second.empty() ? "?" : logging::escaped(found->second);
  };
  return value("hostname") + ", " + value("clients") + " of " + value("sv_maxclients") + " players";
}

}  // namespace ztna::tool
