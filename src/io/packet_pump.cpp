#include "io/packet_pump.hpp"

namespace ztna::io {

class PacketPump::Port final : public UdpSocket::Handler {
 public:
  Port(PacketPump& pump, base::SocketId id) : pump_(pump), id_(id) {}

  void on_datagram(const Datagram& datagram) override {
    pump_.engine_.receive({id_, datagram.from, datagram.to, datagram.ecn, datagram.payload},
                          Loop::now());
  }
  void on_drained() override { pump_.pump(); }
  void on_writable() override { pump_.pump(); }

  std::unique_ptr<UdpSocket> socket;

 private:
  PacketPump& pump_;
  base::SocketId id_;
};

PacketPump::PacketPump(Loop& loop, Engine& engine)
    : loop_(loop),
      engine_(engine),
      timer_(loop, [this] { pump(); }),
      buffer_(base::transmit_buffer_size) {}

PacketPump::~PacketPump() { *alive_ = false; }

base::Result<base::SocketId> PacketPump::add_socket(const base::Address& local,
                                                    const UdpSocket::Options& options) {
  const auto id = static_cast<base::SocketId>(ports_.size());
  auto port = std::make_unique<Port>(*this, id);
  auto socket = UdpSocket::bind(loop_, local, options, *port);
  if (!socket) return tl::unexpected(socket.error());
  port->socket = std::make_unique<UdpSocket>(std::move(*socket));
  ports_.push_back(std::move(port));
  return id;
}

const base::Address& PacketPump::local_address(base::SocketId id) const {
  return ports_.at(id)->socket->local_address();
}
std::size_t PacketPump::socket_count() const { return ports_.size(); }
UdpCounters PacketPump::counters(base::SocketId id) const {
  return ports_.at(id)->socket->counters();
}

void PacketPump::metrics(MetricsWriter& out) const {
  UdpCounters sum;
  for (const auto& port : ports_) {
    const UdpCounters one = port->socket->counters();
    sum.received_packets += one.received_packets;
    sum.received_bytes += one.received_bytes;
    sum.sent_packets += one.sent_packets;
    sum.sent_bytes += one.sent_bytes;
    sum.dropped_by_kernel += one.dropped_by_kernel;
  }
  out.family("ztna_udp_packets_total", MetricType::counter, "Datagrams by direction.");
  out.sample(sum.received_packets, {{"direction", "received"}});
  out.sample(sum.sent_packets, {{"direction", "sent"}});
  out.family("ztna_udp_bytes_total", MetricType::counter, "UDP payload octets by direction.");
  out.sample(sum.received_bytes, {{"direction", "received"}});
  out.sample(sum.sent_bytes, {{"direction", "sent"}});
  out.family("ztna_udp_dropped_total", MetricType::counter,
             "Datagrams the kernel had no room for.");
  out.sample(sum.dropped_by_kernel);
}

bool PacketPump::send(const base::Outgoing& out) {
  OutgoingDatagrams datagrams;
  datagrams.to = out.to;
  if (!out.from.is_unspecified()) datagrams.from = out.from;
  datagrams.ecn = out.ecn;
  datagrams.ttl = out.ttl;
  datagrams.segment = out.segment;
  datagrams.bytes = base::BytesView(buffer_).subspan(stuck_at_, out.size - stuck_at_);
  const SendResult result = ports_.at(out.socket)->socket->send(datagrams);
  if (result.status != SendStatus::blocked) return true;
  stuck_ = out;
  stuck_at_ += result.taken;
  return false;
}

void PacketPump::pump() {
  if (pumping_) {
    again_ = true;
    return;
  }
  pumping_ = true;
  do {
    again_ = false;
    const base::Time now = Loop::now();
    if (engine_.next_deadline() <= now) engine_.expire(now);
    engine_.deliver();
    bool open = true;
    if (stuck_.size > 0) {
      open = send(stuck_);
      if (open) stuck_ = {};
    }
    while (open) {
      stuck_at_ = 0;
      const base::Outgoing out = engine_.transmit(buffer_, now);
      if (out.size == 0) break;
      open = send(out);
    }
    engine_.after_round(now);
  } while (again_);
  pumping_ = false;
  // Deadlines move with every packet, mostly later: a timer that fires early finds nothing to do
  // and is set anew, which costs less than a system call for each packet.
  const base::Time next = engine_.next_deadline();
  if (next < timer_.deadline()) timer_.set(next);
}

void PacketPump::poke() {
  if (poked_) return;
  if (pumping_) {
    again_ = true;
    return;
  }
  poked_ = true;
  loop_.post([this, alive = alive_] {
    if (!*alive) return;
    poked_ = false;
    pump();
  });
}

}  // namespace ztna::io
