#include "nat/survey.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace ztna::nat {
namespace {

using namespace std::chrono_literals;
using base::Address;
using wire::stun::Attribute;
using wire::stun::Class;
using wire::stun::Message;

// When a request is sent again, and at last given up. RFC 8489 §6.2.1 begins with 500 ms as well,
// but waits 39.5 s in all: too long for a person, who has several silences to sit through.
constexpr std::array<base::Duration, 4> gaps = {500ms, 500ms, 1s, 1s};

// IP packets: QUIC's minimum, IPv6's minimum, common tunnels (WireGuard, VPNs), PPPoE, Ethernet.
// All are multiples of four, as STUN messages are.
constexpr std::array<std::uint16_t, 9> ip_sizes = {1248, 1280, 1360, 1400, 1420,
                                                   1440, 1480, 1492, 1500};

// Common time-outs of NATs lie just above and below these (RFC 4787 §4.3 asks for 2 minutes, Linux
// has 30 s and 120 s).
constexpr std::array<base::Duration, 15> silences = {2s,  5s,  10s,  15s,  20s,  29s,  35s, 45s,
                                                     60s, 90s, 119s, 130s, 180s, 300s, 600s};

constexpr std::size_t max_targets = 16;
constexpr base::SocketId mapping_socket = 0, filter_socket = 1, first_lifetime_socket = 2;

std::size_t headers(const Address& to) { return to.is_v4() ? 20 + 8 : 40 + 8; }

std::optional<Address> mapped_address(const Message& answer) {
  const auto mapped = answer.address(Attribute::xor_mapped_address);
  return mapped ? mapped : answer.address(Attribute::mapped_address);
}

}  // namespace

Survey::Survey(Config config, base::Random& random, base::Time now)
    : config_(std::move(config)), random_(random) {
  for (const base::Duration length : silences) {
    if (length <= config_.longest_lifetime) lifetimes_.push_back({length, 0});
  }
  for (const Address& server : config_.servers) add_target(server);
  if (targets_.empty()) {
    step_ = SurveyStep::done;
  } else {
    add(Purpose::reach, mapping_socket, targets_[targets_asked_++], now);
    expire(now);
  }
}

// --- requests

Survey::Request& Survey::add(Purpose purpose, base::SocketId socket, const Address& to,
                             base::Time now) {
  Request& request = requests_.emplace_back();
  request.id = wire::stun::TransactionId::make(random_);
  request.purpose = purpose;
  request.socket = socket;
  request.to = to;
  request.next = now;
  return request;
}

void Survey::write(Request& request) const {
  if (request.purpose == Purpose::classic) {
    request.id.octets[0] = 0xff;  // no magic cookie begins so
  }
  std::array<std::uint8_t, 2048> buffer{};
  wire::stun::Writer writer(buffer, Class::request, wire::stun::binding, request.id);
  if (request.change != 0) writer.add_u32(Attribute::change_request, request.change);
  if (request.purpose == Purpose::size) {
    // The answer has the padding and what any answer has; SOFTWARE, which nobody returns, makes the
    // request as large.
    const std::size_t answer = ip_sizes.at(request.index) - headers(request.to);
    const std::size_t padding = answer - plain_answer_size_ - 4;
    writer.add_padding(padding);
    const std::string name(plain_answer_size_ - wire::stun::header_size - 4, ' ');
    writer.add(Attribute::software, base::as_bytes(name));
  }
  if (request.purpose == Purpose::still_mapped) {
    std::array<std::uint8_t, 4> port{};  // and two octets reserved (RFC 5780 §7.5)
    base::store_be16(port.data(), lifetimes_[request.index].mapped_port);
    writer.add(Attribute::response_port, port);
  }
  request.message.assign(writer.message().begin(), writer.message().end());
}

void Survey::send(Request& request, base::Time now) {
  if (request.sent == 0) {
    write(request);
    request.first_sent = now;
  }
  request.next = now + gaps.at(request.sent++);
  out_.push_back({request.socket, request.to, request.message});
}

void Survey::expire(base::Time now) {
  for (std::size_t i = 0; i < requests_.size();) {
    if (requests_[i].next > now) {
      ++i;
    } else if (requests_[i].sent < gaps.size()) {
      send(requests_[i++], now);
    } else {
      const Request silent = std::move(requests_[i]);
      requests_.erase(requests_.begin() + static_cast<std::ptrdiff_t>(i));
      on_silence(silent, now);
    }
  }
  advance(now);
}

std::optional<Survey::Transmit> Survey::transmit() {
  if (out_.empty()) return std::nullopt;
  Transmit next = std::move(out_.front());
  out_.pop_front();
  return next;
}

base::Time Survey::next_deadline() const {
  base::Time next = base::never;
  for (const Request& request : requests_) next = std::min(next, request.next);
  return next;
}

// --- answers

void Survey::receive(const base::Incoming& packet, base::Time now) {
  const auto message = Message::parse(packet.payload);
  if (!message || message->method() != wire::stun::binding) return;
  const auto found = std::ranges::find(requests_, message->transaction(), &Request::id);
  if (found == requests_.end() || found->sent == 0) return;
  if (!answers(*found, packet, *message)) return;
  const Request request = std::move(*found);
  requests_.erase(found);
  on_answer(request, packet, *message, now);
  expire(now);
}

bool Survey::answers(const Request& request, const base::Incoming& packet, const Message& message) {
  if (request.purpose == Purpose::hairpin) {
    return message.message_class() == Class::request && packet.socket != request.socket;
  }
  if (message.message_class() != Class::success && message.message_class() != Class::error) {
    return false;
  }
  switch (request.purpose) {
    case Purpose::still_mapped: return packet.from == request.to;  // on the silent socket
    case Purpose::filter: return packet.socket == request.socket;  // from elsewhere
    default: return packet.socket == request.socket && packet.from == request.to;
  }
}

void Survey::on_answer(const Request& request, const base::Incoming& packet, const Message& answer,
                       base::Time now) {
  switch (request.purpose) {
    case Purpose::hairpin:
      report_.seen.hairpin = true;
      std::erase_if(requests_, [](const Request& r) { return r.purpose == Purpose::hairpin; });
      return;
    case Purpose::filter: return on_filter_answer(request, packet, answer);
    case Purpose::still_mapped: return on_lifetime_answer(request, packet, answer);
    case Purpose::classic: return learn(request.to, answer.address(Attribute::changed_address));
    case Purpose::size:
      // Without the padding it was a small packet that came back.
      if (answer.find(Attribute::padding)) sizes_passed_.push_back(ip_sizes.at(request.index));
      return;
    default: break;
  }
  if (answer.message_class() == Class::success && mapped_address(answer)) {
    on_mapped(request, packet, answer, now);
  } else {
    on_silence(request, now);  // refused: no more is to be had from there
  }
}

void Survey::on_mapped(const Request& request, const base::Incoming& packet, const Message& answer,
                       base::Time now) {
  const Address mapped = *mapped_address(answer);
  if (request.purpose == Purpose::open_mapping) {
    Silence& silence = lifetimes_[request.index];
    silence.mapped_port = mapped.port();
    Request& probe = add(Purpose::still_mapped, mapping_socket, request.to, now + silence.length);
    probe.index = request.index;
    return;
  }
  report_.seen.mappings.push_back({request.socket, packet.to, request.to, mapped});
  if (request.socket != mapping_socket) return;
  const auto rtt = request.sent == 1 ? std::optional(now - request.first_sent) : std::nullopt;
  report_.asked.push_back({request.to, mapped, rtt});
  if (request.purpose == Purpose::reach) {
    report_.primary = request.to;
    plain_answer_size_ = packet.payload.size();
  }
  const auto other = answer.address(Attribute::other_address);
  learn(request.to, other);
  if (request.purpose != Purpose::reach) return;
  add(Purpose::filter_base, filter_socket, request.to, now);
  // Who has no OTHER-ADDRESS may yet name a second port.
  if (!other) add(Purpose::classic, mapping_socket, request.to, now);
}

void Survey::on_filter_answer(const Request& request, const base::Incoming& packet,
                              const Message& answer) {
  const auto test = std::ranges::find_if(filter_tests_, [&](const FilterTest& each) {
    return each.seen.other_ip == ((request.change & wire::stun::change_ip) != 0);
  });
  if (answer.message_class() == Class::success && packet.from != request.to) {
    test->seen.answered = true;
  } else {
    filter_tests_.erase(test);  // it does not do this, so its silence would mean nothing
  }
}

void Survey::on_lifetime_answer(const Request& request, const base::Incoming& packet,
                                const Message& answer) {
  if (answer.message_class() != Class::success || packet.socket == request.socket) {
    // No RESPONSE-PORT there: nothing can be told.
    report_.lifetime.reset();
    std::erase_if(requests_, [](const Request& r) { return r.purpose == Purpose::still_mapped; });
    return;
  }
  if (!report_.lifetime) report_.lifetime.emplace();
  report_.lifetime->at_least =
      std::max(report_.lifetime->at_least, lifetimes_[request.index].length);
}

void Survey::on_silence(const Request& request, base::Time now) {
  switch (request.purpose) {
    case Purpose::reach:
      report_.asked.push_back({request.to, std::nullopt, std::nullopt});
      if (targets_asked_ < targets_.size()) {
        add(Purpose::reach, mapping_socket, targets_[targets_asked_++], now);
      }
      return;
    case Purpose::mapping:
      report_.asked.push_back({request.to, std::nullopt, std::nullopt});
      return;
    case Purpose::still_mapped:
      if (!report_.lifetime) report_.lifetime.emplace();
      report_.lifetime->less_than = lifetimes_[request.index].length;
      // A longer silence cannot end better.
      std::erase_if(requests_, [](const Request& r) { return r.purpose == Purpose::still_mapped; });
      return;
    default: return;
  }
}

// `other` may differ from the server in its port alone.
void Survey::learn(const Address& server, const std::optional<Address>& other) {
  if (!other || other->family() != server.family() || other->port() == server.port()) return;
  const Address port = server.with_port(other->port());
  add_target(port);
  if (server == report_.primary) other_port_ = port;
  if (*other == port) return;
  add_target(other->with_port(server.port()));
  add_target(*other);
  if (server == report_.primary) other_address_ = other;
}

void Survey::add_target(const Address& address) {
  // A server may name any address: only what can be one is asked, and not many.
  if (address.port() == 0 || address.is_unspecified() || address.is_multicast() ||
      targets_.size() >= max_targets || std::ranges::find(targets_, address) != targets_.end()) {
    return;
  }
  targets_.push_back(address);
}

// --- steps

void Survey::advance(base::Time now) {
  while (requests_.empty() && step_ != SurveyStep::done) {
    switch (step_) {
      case SurveyStep::reach:
        if (!report_.primary) {
          step_ = SurveyStep::done;
          break;
        }
        step_ = SurveyStep::filters;
        begin_filters(now);
        break;
      case SurveyStep::filters: step_ = SurveyStep::mappings; [[fallthrough]];
      case SurveyStep::mappings:
        ask_targets(now);
        if (!requests_.empty()) break;
        settle_filters();
        step_ = SurveyStep::sizes_and_hairpin;
        begin_sizes(now);
        begin_hairpin(now);
        break;
      case SurveyStep::sizes_and_hairpin:
        settle_sizes();
        settle_hairpin();
        step_ = SurveyStep::lifetime;
        begin_lifetime(now);
        break;
      case SurveyStep::lifetime: step_ = SurveyStep::done; break;
      case SurveyStep::done: break;
    }
  }
  for (Request& request : requests_) {
    if (request.sent == 0 && request.next <= now) send(request, now);
  }
}

// RFC 5780 §4.4, tests II and III, from a socket that has sent to the first server alone.
void Survey::begin_filters(base::Time now) {
  if (!mapped_of(filter_socket)) return;
  const Address& primary = *report_.primary;
  if (!other_port_) {
    const auto given = std::ranges::find_if(config_.servers, [&](const Address& server) {
      return server != primary && server.with_port(primary.port()) == primary;
    });
    if (given != config_.servers.end()) other_port_ = *given;
  }
  const auto test = [&](const std::optional<Address>& alternate, std::uint32_t change) {
    if (!alternate) return;
    const bool other_ip = (change & wire::stun::change_ip) != 0;
    filter_tests_.push_back({{primary, other_ip, true, false}, *alternate});
    add(Purpose::filter, filter_socket, primary, now).change = change;
  };
  test(other_address_, wire::stun::change_ip | wire::stun::change_port);
  test(other_port_, wire::stun::change_port);
}

void Survey::ask_targets(base::Time now) {
  while (targets_asked_ < targets_.size()) {
    add(Purpose::mapping, mapping_socket, targets_[targets_asked_++], now);
  }
}

void Survey::settle_filters() {
  for (const FilterTest& test : filter_tests_) {
    const bool reachable = std::ranges::any_of(report_.asked, [&](const auto& asked) {
      return asked.server == test.alternate && asked.mapped;
    });
    if (test.seen.answered || reachable) report_.seen.filters.push_back(test.seen);
  }
}

void Survey::begin_sizes(base::Time now) {
  for (std::size_t i = 0; i < ip_sizes.size(); ++i) {
    add(Purpose::size, mapping_socket, *report_.primary, now).index = i;
  }
}

void Survey::settle_sizes() {
  if (sizes_passed_.empty()) return;
  report_.mtu = *std::ranges::max_element(sizes_passed_);
  const auto* const larger = std::ranges::upper_bound(ip_sizes, *report_.mtu);
  if (larger != ip_sizes.end()) report_.too_large = *larger;
}

// Each socket sends to the other's mapped address, so that both filters are open (RFC 5780 §4.6).
void Survey::begin_hairpin(base::Time now) {
  const auto one = mapped_of(mapping_socket), other = mapped_of(filter_socket);
  if (!one || !other || classify(report_.seen).mapping == Dependence::none) return;
  report_.seen.hairpin = false;
  add(Purpose::hairpin, mapping_socket, *other, now);
  add(Purpose::hairpin, filter_socket, *one, now);
}

void Survey::settle_hairpin() {
  if (report_.seen.hairpin != false) return;
  // With a mapping for each destination neither knew where the other would come from.
  const Dependence mapping = classify(report_.seen).mapping;
  if (mapping == Dependence::address_dependent ||
      mapping == Dependence::address_or_port_dependent ||
      mapping == Dependence::address_and_port_dependent) {
    report_.seen.hairpin.reset();
  }
}

void Survey::begin_lifetime(base::Time now) {
  for (std::size_t i = 0; i < lifetimes_.size(); ++i) {
    const auto socket = static_cast<base::SocketId>(first_lifetime_socket + i);
    add(Purpose::open_mapping, socket, *report_.primary, now).index = i;
  }
}

std::optional<Address> Survey::mapped_of(base::SocketId socket) const {
  for (const MappingSeen& seen : report_.seen.mappings) {
    if (seen.socket == socket && seen.server == report_.primary) return seen.mapped;
  }
  return std::nullopt;
}

}  // namespace ztna::nat
