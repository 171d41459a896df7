// Packets out: which frames go next, and how packets form a batch.
#include <algorithm>
#include <bit>
#include <cstring>

#include "quic/close_info.hpp"
#include "quic/connection_impl.hpp"
#include "quic/synthetic_path.hpp"

namespace ztna::quic {
namespace {

// The most one UDP_SEGMENT send takes, less headers.
constexpr std::size_t max_batch = 62 * 1024;
constexpr std::size_t datagram_frame_head = 3;  // type and length
// From the arrival of packets to the round that answers them.
constexpr ngtcp2_duration same_round = NGTCP2_MILLISECONDS;

}  // namespace

struct Connection::Impl::Writing {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): by ngtcp2_path_storage_zero()
  explicit Writing(base::MutableBytes buffer, ngtcp2_tstamp at) : out(buffer), ts(at) {
    ngtcp2_path_storage_zero(&storage);
  }
  base::MutableBytes out;
  ngtcp2_tstamp ts;
  ngtcp2_path_storage storage;
  ngtcp2_pkt_info info{};
  ngtcp2_ssize size = 0;
  std::size_t content = 0;      // octets of data and of their frames so far, about
  bool datagrams_over = false;  // none left, or the next one waits for another packet
  bool streams_over = false;    // the connection's window is used up
};

Connection::Impl::Step Connection::Impl::write_stream(Writing& packet, Stream& stream) {
  const auto pieces = stream.out.next();
  const bool last = stream.fin && pieces.size == stream.out.unsent();
  if (pieces.size > 0 && ngtcp2_conn_get_max_data_left(conn.get()) == 0) {
    packet.streams_over = true;
    return Step::go_on;
  }
  std::uint32_t flags = NGTCP2_WRITE_STREAM_FLAG_MORE;
  if (last) flags |= NGTCP2_WRITE_STREAM_FLAG_FIN;
  ngtcp2_ssize taken = -1;
  const auto n = ngtcp2_conn_writev_stream(conn.get(), &packet.storage.path, &packet.info,
                                           packet.out.data(), packet.out.size(), &taken, flags,
                                           stream.id, pieces.vec.data(), pieces.count, packet.ts);
  if (taken >= 0) {
    const auto size = static_cast<std::size_t>(taken);
    packet.content += size;
    stream.out.sent(size);
    if (last && size == pieces.size) stream.write_over = true;
    streams.update(stream);
    streams.rotate(stream);
  }
  switch (n) {
    case NGTCP2_ERR_WRITE_MORE: return Step::go_on;
    case NGTCP2_ERR_STREAM_DATA_BLOCKED:
      if (ngtcp2_conn_get_max_data_left(conn.get()) == 0) {
        packet.streams_over = true;
      } else {
        stream.blocked = true;
        streams.update(stream);
      }
      return Step::go_on;
    case NGTCP2_ERR_STREAM_NOT_FOUND:
    case NGTCP2_ERR_STREAM_SHUT_WR: stopped_by_peer(stream); return Step::go_on;
    default: packet.size = n; return Step::packet_done;
  }
}

bool Connection::Impl::next_datagram(DatagramSource::Item& item) {
  const std::size_t limit = max_datagram();
  if (datagrams == nullptr || limit == 0 || data_held) return false;
  while (datagrams->peek(item)) {
    if (item.header.size() + item.payload.size() <= limit) return true;
    ++counters.datagrams_refused;
    datagrams->done(DatagramSource::Fate::too_large);
  }
  return false;
}

Connection::Impl::Step Connection::Impl::write_datagram(Writing& packet) {
  DatagramSource::Item item;
  if (!next_datagram(item)) {
    packet.datagrams_over = true;
    return Step::go_on;
  }
  std::array<ngtcp2_vec, 2> data{};  // ngtcp2 takes no empty pieces
  std::size_t pieces = 0;
  for (const base::BytesView part : {item.header, item.payload}) {
    if (!part.empty()) {
      data[pieces++] = {const_cast<std::uint8_t*>(part.data()), part.size()};
    }
  }
  // Small ones share packets: the one that makes a packet large stands for it.
  const std::size_t content = packet.content + item.header.size() + item.payload.size();
  const bool large = content > datagram_room(BlackHole::floor);
  int accepted = 0;
  const auto n =
      ngtcp2_conn_writev_datagram(conn.get(), &packet.storage.path, &packet.info, packet.out.data(),
                                  packet.out.size(), &accepted, NGTCP2_WRITE_DATAGRAM_FLAG_MORE,
                                  item.tag << 1 | (large ? 1 : 0), data.data(), pieces, packet.ts);
  if (accepted != 0) {
    packet.content = content + datagram_frame_head;
    datagrams->done(DatagramSource::Fate::sent);
    standing_queue.datagram_sent(base::from_ns(packet.ts));
  }
  if (n == NGTCP2_ERR_WRITE_MORE) return Step::go_on;
  if (n == NGTCP2_ERR_INVALID_ARGUMENT) {  // more than the peer's max_datagram_frame_size
    ++counters.datagrams_refused;
    datagrams->done(DatagramSource::Fate::too_large);
    return Step::go_on;
  }
  packet.size = n;
  return Step::packet_done;
}

Connection::Impl::Step Connection::Impl::write_rest(Writing& packet) const {
  packet.size =
      ngtcp2_conn_writev_stream(conn.get(), &packet.storage.path, &packet.info, packet.out.data(),
                                packet.out.size(), nullptr, 0, -1, nullptr, 0, packet.ts);
  return Step::packet_done;
}

Connection::Impl::Packet Connection::Impl::write_packet(base::MutableBytes out, ngtcp2_tstamp ts) {
  Writing packet(out, ts);
  Step step = Step::go_on;
  while (step == Step::go_on) {
    const bool datagram_next = established && !packet.datagrams_over;
    Stream* stream = nullptr;
    if (established && !packet.streams_over) {
      stream = streams.next_urgent();
      if (stream == nullptr && !datagram_next && !data_held && streams_may_go_on(ts)) {
        stream = streams.next_ordinary();
      }
    }
    if (stream != nullptr) {
      step = write_stream(packet, *stream);
    } else if (datagram_next) {
      step = write_datagram(packet);
    } else {
      step = write_rest(packet);
    }
  }
  if (packet.size < 0) {
    fail(static_cast<int>(packet.size));
    return {};
  }
  if (packet.size == 0) return {};
  ++counters.packets_sent;
  ++packets_since_key_update;
  counters.bytes_sent += static_cast<std::uint64_t>(packet.size);
  return {static_cast<std::size_t>(packet.size), SyntheticPath::id_of(packet.storage.path),
          static_cast<Ecn>(packet.info.ecn)};
}

bool Connection::Impl::streams_may_go_on(ngtcp2_tstamp ts) const {
  const std::uint64_t limit = standing_queue.limit(base::from_ns(ts));
  if (limit == StandingQueue::unlimited) return true;
  ngtcp2_conn_info info;
  ngtcp2_conn_get_conn_info(conn.get(), &info);
  return info.bytes_in_flight < limit;
}

bool Connection::Impl::has_content() {
  DatagramSource::Item item;
  if (streams.next_urgent() != nullptr) return true;
  return !data_held && (streams.next_ordinary() != nullptr || next_datagram(item));
}

// When to say that a round happens which has nothing to say itself: at the time of what came in
// just now. ngtcp2 would acknowledge that alone as soon as an eighth of the round trip has passed,
// on a short path while the answer that could carry it is being made.
ngtcp2_tstamp Connection::Impl::stamp_round(base::Time now) {
  const ngtcp2_tstamp heard = last_ts;
  const bool just_heard = established && base::to_ns(now) < heard + same_round;
  return just_heard && !has_content() ? heard : stamp(now);
}

Batch Connection::Impl::transmit(base::MutableBytes buffer, base::Time now) {
  const ngtcp2_tstamp ts = stamp_round(now);
  Batch batch;
  if (carried.size > 0 && phase == Phase::open) {
    std::memcpy(buffer.data(), carried_octets.data(), carried.size);
    batch = {carried.path, carried.ecn, carried.size, carried.size};
    carried = {};
    return batch;
  }
  if (phase != Phase::open) return transmit_close(buffer, now);
  update_keys_in_time(ts);
  look_for_stopped_streams(ts);
  if (phase != Phase::open) return transmit_close(buffer, now);
  const std::size_t limit =
      std::min({buffer.size(), max_batch, ngtcp2_conn_get_send_quantum(conn.get())});
  const bool capped = black_hole.capped(now);
  const std::size_t largest = capped ? BlackHole::floor : config.max_udp_payload;
  bool probe = false;
  while (batch.size == 0 || limit - batch.size >= largest) {
    const base::MutableBytes out =
        buffer.subspan(batch.size, std::min(largest, buffer.size() - batch.size));
    const Packet packet = write_packet(out, ts);
    if (packet.size == 0) break;
    if (batch.size == 0) {
      batch = {packet.path, packet.ecn, packet.size, 0};
    } else if (packet.path != batch.path || packet.ecn != batch.ecn ||
               packet.size > batch.segment) {
      carried = packet;
      carried_octets.assign(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(packet.size));
      break;
    }
    batch.size += packet.size;
    if (packet.size < batch.segment) break;
    // A path MTU probe leaves alone: kernels pass a batch on in one piece, and a router that drops
    // the probe would drop what travels with it.
    probe = packet.size > ngtcp2_conn_get_path_max_tx_udp_payload_size(conn.get());
    if (probe) break;
  }
  if (phase != Phase::open) {
    if (batch.size == 0) return transmit_close(buffer, now);
    return batch;
  }
  // What there is to say follows the probe at once, and is paced with it.
  if (!probe) ngtcp2_conn_update_pkt_tx_time(conn.get(), ts);
  held_back = !established || has_content();
  note_path();
  note_window();
  return batch;
}

Batch Connection::Impl::transmit_close(base::MutableBytes buffer, base::Time now) {
  if (phase != Phase::closing || !close_wanted) return {};
  close_wanted = false;
  if (close_packet.empty()) {
    ngtcp2_ccerr error;
    ngtcp2_ccerr_default(&error);
    const auto reason = base::as_bytes(close_info.reason);
    if (close_info.application) {
      ngtcp2_ccerr_set_application_error(&error, close_info.code, reason.data(), reason.size());
    } else {
      ngtcp2_ccerr_set_transport_error(&error, close_info.code, reason.data(), reason.size());
    }
    Writing packet(buffer, stamp(now));
    const auto n =
        ngtcp2_conn_write_connection_close(conn.get(), &packet.storage.path, &packet.info,
                                           buffer.data(), buffer.size(), &error, packet.ts);
    if (n <= 0) {
      // A client that has sent nothing, or a server at its amplification limit.
      phase = Phase::finished;
      return {};
    }
    const auto size = static_cast<std::size_t>(n);
    close_packet.assign(buffer.begin(), buffer.begin() + n);
    close_batch = {SyntheticPath::id_of(packet.storage.path), static_cast<Ecn>(packet.info.ecn),
                   size, size};
    over_at = now + base::Duration(3 * ngtcp2_conn_get_pto(conn.get()));
    return close_batch;
  }
  if (buffer.size() < close_packet.size()) return {};
  std::memcpy(buffer.data(), close_packet.data(), close_packet.size());
  return close_batch;
}

void Connection::Impl::stopped_by_peer(Stream& stream) {
  stream.write_over = true;
  stream.out.drop_unsent();
  streams.update(stream);
  // The code is in ngtcp2, which has no way of telling it.
  if (!announced_close) handler.on_stop_sending(stream.id, 0);
}

// ngtcp2 answers STOP_SENDING with RESET_STREAM by itself and does not say so. But it refuses to
// write to such a stream before it looks at the rest of the arguments: an impossible size tells,
// and does nothing else.
void Connection::Impl::look_for_stopped_streams(ngtcp2_tstamp ts) {
  for (int i = 0; i < stop_checks_at_once && stop_checks_due > 0; ++i, --stop_checks_due) {
    if (streams.count() == 0) {
      stop_checks_due = 0;
      return;
    }
    Stream& stream = streams.next_in_turn();
    if (stream.write_over) continue;
    const ngtcp2_vec impossible = {nullptr, SIZE_MAX};
    if (ngtcp2_conn_writev_stream(conn.get(), nullptr, nullptr, nullptr, 0, nullptr, 0, stream.id,
                                  &impossible, 1, ts) == NGTCP2_ERR_STREAM_SHUT_WR) {
      stopped_by_peer(stream);
    }
  }
}

void Connection::Impl::update_keys_in_time(ngtcp2_tstamp ts) {
  if (packets_since_key_update < config.key_update_after) return;
  // Refused while the last update is younger than 3 PTO or unconfirmed: the next batch tries again.
  if (ngtcp2_conn_initiate_key_update(conn.get(), ts) != 0) return;
  packets_since_key_update = 0;
  ++counters.key_updates;
}

}  // namespace ztna::quic
