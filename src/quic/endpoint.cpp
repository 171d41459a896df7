#include "quic/endpoint.hpp"

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "quic/ngtcp2_id.hpp"
#include "quic/reset_token.hpp"

namespace ztna::quic {
namespace {

constexpr base::Duration retry_token_lifetime = std::chrono::seconds(10);

// After a restart every old peer deserves a reset, at once; a flood of strangers does not.
constexpr double resets_per_second = 500;
constexpr double reset_burst = 500;

// RFC 9000 §10.3: at least 5 random octets before the token; no answer to 43 octets or less that
// is not smaller than the question, so that two ends without state cannot reset each other for
// ever.
constexpr std::size_t min_reset = NGTCP2_MIN_STATELESS_RESET_RANDLEN + reset_token_length;
constexpr std::size_t usual_reset = 43;

constexpr std::uint8_t long_header = 0x80;
constexpr std::uint8_t fixed_bit = 0x40;  // never greased here (RFC 9443 needs it to tell STUN)

// `from` as the octets that a token is bound to.
struct SocketAddress {
  ngtcp2_sockaddr_union address;
  ngtcp2_socklen length = 0;
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): the first line does
  explicit SocketAddress(const base::Address& from) {
    std::memset(&address, 0, sizeof address);
    std::array<std::uint8_t, 2> port{};
    base::store_be16(port.data(), from.port());
    if (from.is_v4()) {
      address.in.sin_family = NGTCP2_AF_INET;
      std::memcpy(&address.in.sin_port, port.data(), port.size());
      std::memcpy(&address.in.sin_addr, from.octets().data(), 4);
      length = sizeof address.in;
    } else {
      address.in6.sin6_family = NGTCP2_AF_INET6;
      std::memcpy(&address.in6.sin6_port, port.data(), port.size());
      std::memcpy(&address.in6.sin6_addr, from.octets().data(), 16);
      length = sizeof address.in6;
    }
  }
};

Endpoint::Verdict drop(Endpoint::Drop::Why why) { return Endpoint::Drop{why}; }

// `size` is what a writer of ngtcp2 returned.
Endpoint::Verdict reply(Endpoint::Reply::Kind kind, base::Bytes packet, ngtcp2_ssize size,
                        Endpoint::Drop::Why otherwise) {
  if (size <= 0) return Endpoint::Drop{otherwise};
  packet.resize(static_cast<std::size_t>(size));
  return Endpoint::Reply{kind, std::move(packet)};
}

Endpoint::Verdict negotiate_version(const ngtcp2_version_cid& asked, base::Random& random) {
  const std::array<std::uint32_t, 1> versions = {NGTCP2_PROTO_VER_V1};
  std::uint8_t unused = 0;
  random.fill({&unused, 1});
  base::Bytes packet(7 + asked.dcidlen + asked.scidlen + 4 * versions.size());
  const auto size = ngtcp2_pkt_write_version_negotiation(
      packet.data(), packet.size(), unused, asked.scid, asked.scidlen, asked.dcid, asked.dcidlen,
      versions.data(), versions.size());
  return reply(Endpoint::Reply::Kind::version_negotiation, std::move(packet), size,
               Endpoint::Drop::Why::malformed);
}

}  // namespace

Endpoint::Endpoint(Keys keys, ConnectionIdLayout layout, base::Random& random)
    : keys_(std::move(keys)), layout_(layout), random_(&random) {}

void Endpoint::add(const ConnectionId& id, Handle handle) { table_[id] = handle; }
void Endpoint::remove(const ConnectionId& id) { table_.erase(id); }
std::size_t Endpoint::size() const { return table_.size(); }

Endpoint::Verdict Endpoint::classify(base::BytesView datagram, const base::Address& from,
                                     Options options, base::Time now) {
  if (datagram.empty() || ((datagram[0] & fixed_bit) == 0 && (datagram[0] & long_header) == 0)) {
    return drop(Drop::Why::malformed);
  }
  ngtcp2_version_cid header;
  const int rv =
      ngtcp2_pkt_decode_version_cid(&header, datagram.data(), datagram.size(), cid_length);
  if (rv != 0 && rv != NGTCP2_ERR_VERSION_NEGOTIATION) return drop(Drop::Why::malformed);
  if (header.dcidlen <= 20) {
    const auto known = table_.find(ConnectionId::from({header.dcid, header.dcidlen}));
    if (known != table_.end()) return Deliver{known->second};
  }
  if ((datagram[0] & long_header) == 0) return reset_unknown(datagram, header.dcid, now);
  if (!options.accept_new || header.version == 0) return drop(Drop::Why::unknown_connection);
  if (datagram.size() < NGTCP2_MAX_UDP_PAYLOAD_SIZE) return drop(Drop::Why::malformed);
  if (header.version != NGTCP2_PROTO_VER_V1) return negotiate_version(header, *random_);
  return consider_initial(datagram, from, options, now);
}

Endpoint::Verdict Endpoint::consider_initial(base::BytesView datagram, const base::Address& from,
                                             Options options, base::Time now) {
  ngtcp2_pkt_hd header;
  if ((datagram[0] & fixed_bit) == 0 ||
      ngtcp2_accept(&header, datagram.data(), datagram.size()) != 0) {
    return drop(Drop::Why::malformed);
  }
  Accept accept;
  accept.initial.version = header.version;
  accept.initial.dcid = from_ngtcp2(header.dcid);
  accept.initial.scid = from_ngtcp2(header.scid);
  // We issue Retry tokens only. Another kind is from a server that this one has replaced.
  if (header.tokenlen == 0 || header.token[0] != NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY2) {
    return options.require_retry ? retry(accept.initial, from, now) : Verdict(std::move(accept));
  }
  const SocketAddress remote(from);
  const auto secret = keys_.retry.expose();
  ngtcp2_cid original;
  if (ngtcp2_crypto_verify_retry_token2(
          &original, header.token, header.tokenlen, secret.data(), secret.size(), header.version,
          &remote.address.sa, remote.length, &header.dcid,
          static_cast<ngtcp2_duration>(retry_token_lifetime.count()), base::to_ns(now)) != 0) {
    // RFC 9000 §8.1.3: tell the client at once, it would only repeat the token.
    base::Bytes packet(256);
    const auto size = ngtcp2_crypto_write_connection_close(
        packet.data(), packet.size(), header.version, &header.scid, &header.dcid,
        NGTCP2_INVALID_TOKEN, nullptr, 0);
    return reply(Reply::Kind::close, std::move(packet), size, Drop::Why::bad_token);
  }
  accept.initial.original_dcid = from_ngtcp2(original);
  accept.initial.retry_scid = accept.initial.dcid;
  accept.initial.token.assign(header.token, header.token + header.tokenlen);
  accept.validated = true;
  return accept;
}

Endpoint::Verdict Endpoint::retry(const Initial& initial, const base::Address& from,
                                  base::Time now) {
  const SocketAddress remote(from);
  const auto secret = keys_.retry.expose();
  const ngtcp2_cid client = to_ngtcp2(initial.scid);
  const ngtcp2_cid original = to_ngtcp2(initial.dcid);
  const ngtcp2_cid own = to_ngtcp2(layout_.make(*random_));
  // RFC 9000 §17.2.5.1: must differ; ngtcp2 asserts it. Chance makes this once in an age of the
  // world, and a random source that repeats itself more often.
  if (ngtcp2_cid_eq(&own, &original) != 0) return drop(Drop::Why::bad_token);
  std::array<std::uint8_t, NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN2> token{};
  const auto token_size = ngtcp2_crypto_generate_retry_token2(
      token.data(), secret.data(), secret.size(), initial.version, &remote.address.sa,
      remote.length, &own, &original, base::to_ns(now));
  if (token_size < 0) return drop(Drop::Why::bad_token);
  base::Bytes packet(512);
  const auto size =
      ngtcp2_crypto_write_retry(packet.data(), packet.size(), initial.version, &client, &own,
                                &original, token.data(), static_cast<std::size_t>(token_size));
  return reply(Reply::Kind::retry, std::move(packet), size, Drop::Why::bad_token);
}

Endpoint::Verdict Endpoint::reset_unknown(base::BytesView datagram, const std::uint8_t* dcid,
                                          base::Time now) {
  if (datagram.size() <= min_reset) return drop(Drop::Why::unknown_connection);
  const std::chrono::duration<double> passed = now - std::exchange(reset_refilled_, now);
  reset_tokens_ = std::min(reset_burst, reset_tokens_ + passed.count() * resets_per_second);
  if (reset_tokens_ < 1) return drop(Drop::Why::rate_limited);
  reset_tokens_ -= 1;
  const std::size_t size = std::min(usual_reset, datagram.size() - 1);
  std::array<std::uint8_t, reset_token_length> token{};
  make_reset_token(keys_.reset, ConnectionId::from({dcid, cid_length}), token.data());
  std::array<std::uint8_t, usual_reset> noise{};
  random_->fill(noise);
  base::Bytes packet(size);
  const auto written = ngtcp2_pkt_write_stateless_reset(packet.data(), packet.size(), token.data(),
                                                        noise.data(), size - token.size());
  return reply(Reply::Kind::stateless_reset, std::move(packet), written,
               Drop::Why::unknown_connection);
}

}  // namespace ztna::quic
