#include "agent/shell_socks_udp.hpp"

#include "agent/shell_socks_reply.hpp"
#include "io/loop.hpp"
#include "wire/flow_datagram.hpp"

namespace ztna::agent {

namespace socks5 = wire::socks5;

namespace {

// Services that one program talks to over one association.
constexpr std::size_t max_targets = 64;

}  // namespace

SocksUdp::SocksUdp(io::Loop& loop, Flows& flows, const base::Address& client, base::Duration idle)
    : flows_(flows),
      client_(client),
      associations_(
          loop, flows, {.idle = idle, .max_associations = max_targets},
          [this](const Target& target, base::BytesView payload) { reply(target, payload); }) {}

base::Result<std::unique_ptr<SocksUdp>> SocksUdp::create(io::Loop& loop, Flows& flows,
                                                         const base::Address& local,
                                                         const base::Address& client,
                                                         base::Duration idle) {
  std::unique_ptr<SocksUdp> relay(new SocksUdp(loop, flows, client, idle));
  io::UdpSocket::Options options;
  options.dont_fragment = false;
  options.dual_stack = false;
  auto socket = io::UdpSocket::bind(loop, local.with_port(0), options, *relay);
  if (!socket) return tl::unexpected(socket.error());
  relay->socket_.emplace(std::move(*socket));
  return relay;
}

void SocksUdp::on_datagram(const io::Datagram& datagram) {
  if (datagram.from.with_port(client_.port()) != client_) return;  // another host
  if (client_.port() != 0 && datagram.from.port() != client_.port()) return;
  const auto header = socks5::parse_udp_header(datagram.payload);
  if (!header) return;
  const auto service = service_of(header.value);
  if (!service) return;
  client_ = datagram.from;  // from now on this port only
  associations_.send({header.value}, *service, datagram.payload.subspan(header.size),
                     io::Loop::now());
}

void SocksUdp::reply(const Target& target, base::BytesView payload) {
  scratch_.resize(socks5::max_request + payload.size());
  const std::size_t header = socks5::encode_udp_header(target.destination, scratch_);
  if (header == 0 || header + payload.size() > wire::udp_max_payload) return;
  std::copy(payload.begin(), payload.end(), scratch_.begin() + static_cast<std::ptrdiff_t>(header));
  io::OutgoingDatagrams out;
  out.to = client_;
  out.bytes = base::BytesView(scratch_).first(header + payload.size());
  // What the socket has no room for is lost, as on any way of a datagram.
  static_cast<void>(socket_->send(out));
}

}  // namespace ztna::agent
