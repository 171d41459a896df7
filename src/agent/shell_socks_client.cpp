#include "agent/shell_socks_client.hpp"

#include <algorithm>

#include "agent/shell_socks_reply.hpp"

namespace ztna::agent {

namespace socks5 = wire::socks5;

namespace {

using namespace std::chrono_literals;

// From accept() to the whole request. Local programs take microseconds.
constexpr base::Duration handshake_limit = 10s;
// For a refused client to read why.
constexpr base::Duration close_limit = 2s;
constexpr std::size_t discard_size = 4096;

// Octets that the message beginning in `input` lacks for sure; never beyond its end.
std::size_t greeting_lacks(const base::Bytes& input) {
  if (input.size() < 2) return 2 - input.size();
  return std::size_t{2} + input[1] - std::min(input.size(), std::size_t{2} + input[1]);
}

std::size_t request_lacks(const base::Bytes& input) {
  if (input.size() < 5) return 5 - input.size();
  // NOLINTNEXTLINE(clang-analyzer-deadcode.DeadStores): kept where the octet names no known type
  std::size_t size = input.size();
  switch (static_cast<socks5::AddressType>(input[3])) {
    case socks5::AddressType::v4: size = 4 + 4 + 2; break;
    case socks5::AddressType::domain: size = std::size_t{4} + 1 + input[4] + 2; break;
    case socks5::AddressType::v6: size = 4 + 16 + 2; break;
  }
  return size - std::min(size, input.size());
}

}  // namespace

SocksClient::SocksClient(const DoorContext& context, DoorId door, Owner& owner)
    : context_(context), door_(door), owner_(owner), timer_(context.loop, [this] {
        if (state_ == State::closing) return over();
        close();
      }) {}

SocksClient::~SocksClient() {
  if (state_ == State::opening) context_.flows.hand_over(flow_, nullptr);
}

void SocksClient::start(io::TcpStream stream, const base::Address& peer) {
  peer_ = peer;
  stream_ = std::move(stream);
  timer_.set(io::Loop::now() + handshake_limit);
  stream_.start(*this);
}

// --- from the client

std::size_t SocksClient::read_budget() {
  switch (state_) {
    case State::greeting: return std::max<std::size_t>(greeting_lacks(input_), 1);
    case State::request: return std::max<std::size_t>(request_lacks(input_), 1);
    case State::associated:
    case State::closing: return discard_size;
    case State::opening:
    case State::over: break;
  }
  return 0;
}

void SocksClient::on_data(base::BytesView data) {
  if (state_ != State::greeting && state_ != State::request) return;
  input_.insert(input_.end(), data.begin(), data.end());
  if (state_ == State::greeting) {
    read_greeting();
  } else {
    read_request();
  }
}

void SocksClient::on_eof() {
  stream_.close();
  over();
}

void SocksClient::on_closed(io::TcpStream::CloseReason /*reason*/) { over(); }

void SocksClient::read_greeting() {
  const auto methods = socks5::parse_methods(input_);
  if (!methods) {
    if (methods.outcome != socks5::Outcome::incomplete) close();
    return;
  }
  input_.clear();
  const bool fits = methods.value.no_authentication;
  const auto method =
      socks5::encode_method(fits ? socks5::no_authentication : socks5::no_acceptable_method);
  static_cast<void>(stream_.write(method));
  if (!fits) return close();
  state_ = State::request;
}

void SocksClient::read_request() {
  const auto request = socks5::parse_request(input_);
  if (!request) {
    switch (request.outcome) {
      case socks5::Outcome::incomplete: return;
      case socks5::Outcome::malformed: return close();
      case socks5::Outcome::unknown_command: return refuse(socks5::Reply::command_not_supported);
      case socks5::Outcome::unknown_address_type:
        return refuse(socks5::Reply::address_type_not_supported);
    }
    return;
  }
  if (request.value.command == socks5::Command::udp_associate) {
    associate(request.value.destination);
  } else {
    connect(request.value.destination);
  }
}

void SocksClient::connect(const socks5::Destination& to) {
  const auto service = service_of(to);
  if (!service) {
    owner_.on_socks_refused(to);
    return refuse(socks5::Reply::not_allowed);
  }
  timer_.cancel();  // the engine has a time-out for each step from here on
  state_ = State::opening;
  flow_ = context_.flows.open(*service, Protocol::tcp, *this);
  context_.flows.pump();
}

void SocksClient::associate(const socks5::Destination& announced) {
  // The host that it announces is often wrong (0.0.0.0, or an address behind a NAT): the host that
  // the control connection comes from counts. A port that it announces is taken at its word.
  const bool by_name = announced.type == socks5::AddressType::domain;
  auto relay = SocksUdp::create(context_.loop, context_.flows, stream_.local_address(),
                                peer_.with_port(by_name ? 0 : announced.port), context_.udp_idle);
  if (!relay) return refuse(socks5::Reply::general_failure);
  timer_.cancel();
  state_ = State::associated;
  udp_ = std::move(*relay);
  answer(socks5::Reply::succeeded, udp_->local_address());
}

// --- from the flow

void SocksClient::on_flow_accepted(FlowId id) {
  if (state_ != State::opening) return;
  answer(socks5::Reply::succeeded, base::Address{});
  state_ = State::over;
  context_.tcp.adopt(door_, id, std::move(stream_));
  owner_.on_socks_client_over(*this);
}

void SocksClient::on_flow_ended(FlowId /*id*/, FlowEnd end, const std::string& /*text*/) {
  if (state_ == State::opening) refuse(socks_reply(end));
}

// --- the end

void SocksClient::answer(socks5::Reply reply, const base::Address& bound) {
  // A connection that has carried a dozen octets so far has room for these.
  static_cast<void>(stream_.write(socks5::encode_reply(reply, bound).view()));
}

void SocksClient::refuse(socks5::Reply reply) {
  answer(reply, base::Address{});
  close();
}

void SocksClient::close() {
  state_ = State::closing;
  stream_.shutdown_write();
  stream_.resume_reading();
  timer_.set(io::Loop::now() + close_limit);
}

void SocksClient::over() {
  const State before = std::exchange(state_, State::over);
  if (before == State::over) return;
  timer_.cancel();
  udp_.reset();
  if (before == State::opening) {
    context_.flows.flow_reset(flow_);
    context_.flows.pump();
  }
  owner_.on_socks_client_over(*this);
}

}  // namespace ztna::agent
