#include "nat/address_discovery.hpp"

#include <utility>

#include "nat/timeouts.hpp"

namespace ztna::nat {

using wire::stun::Class;

void AddressDiscovery::start(const std::optional<Server>& server, base::Time now) {
  if (server != server_) mapped_.reset();
  server_ = server;
  active_ = server.has_value();
  ask(now);
}

void AddressDiscovery::ask(base::Time now) {
  if (!active_) return;
  asking_ = true;
  id_ = wire::stun::TransactionId::make(random_);
  asked_at_ = now;
  requests_ = 0;
  request(now);
}

void AddressDiscovery::request(base::Time now) {
  due_ = true;
  next_request_ = now + timeouts::address_request.at(requests_++);
}

void AddressDiscovery::suspect(base::Time now) {
  if (!asking_ && now - asked_at_ >= timeouts::round_gap) ask(now);
}

bool AddressDiscovery::receive(const base::Incoming& packet, const wire::stun::Message& message) {
  if (!active_ || message.transaction() != id_ || message.method() != wire::stun::binding ||
      packet.socket != server_->socket || packet.from != server_->address) {
    return false;
  }
  const Class kind = message.message_class();
  if (kind != Class::success && kind != Class::error) return false;
  if (!std::exchange(asking_, false)) return true;  // a repeated request's answer
  due_ = false;
  mapped_ = kind == Class::success ? message.address(wire::stun::Attribute::xor_mapped_address)
                                   : std::nullopt;
  if (mapped_ && mapped_->family() != server_->address.family()) mapped_.reset();
  return true;
}

void AddressDiscovery::expire(base::Time now) {
  if (now < next_deadline()) return;
  if (!asking_) return ask(now);
  if (requests_ < timeouts::address_request.size()) return request(now);
  asking_ = false;
  mapped_.reset();
}

base::Time AddressDiscovery::next_deadline() const {
  if (!active_) return base::never;
  if (asking_) return next_request_;
  if (!wanted_) return base::never;
  return asked_at_ + (mapped_ ? timeouts::address_refresh : timeouts::address_retry);
}

base::Outgoing AddressDiscovery::transmit(base::MutableBytes buffer) {
  if (!active_ || !std::exchange(due_, false)) return {};
  const auto request =
      wire::stun::Writer(buffer, Class::request, wire::stun::binding, id_).message();
  return {server_->socket, server_->address, {}, 0, request.size(), request.size()};
}

}  // namespace ztna::nat
