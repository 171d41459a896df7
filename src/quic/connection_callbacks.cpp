// What ngtcp2 tells us. A Handler may call back into the connection from here, within the limits
// of connection.hpp; once it heard on_closed() it hears nothing more.
#include <algorithm>

#include "quic/connection_impl.hpp"
#include "quic/keys.hpp"
#include "quic/ngtcp2_id.hpp"
#include "quic/reset_token.hpp"
#include "quic/synthetic_path.hpp"

namespace ztna::quic {
namespace {

using Impl = Connection::Impl;

}  // namespace

struct NgtcpCallbacks {
  static Impl& self(void* user_data) { return *static_cast<Impl*>(user_data); }

  // --- handshake
  static int client_initial(ngtcp2_conn* conn, void* user_data) {
    auto& impl = self(user_data);
    if (!install_initial_keys(conn, impl.tls->backend(), *ngtcp2_conn_get_dcid(conn)) ||
        !impl.tls->advance(NGTCP2_ENCRYPTION_LEVEL_INITIAL, {})) {
      return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    return 0;
  }
  static int recv_client_initial(ngtcp2_conn* conn, const ngtcp2_cid* dcid, void* user_data) {
    auto& impl = self(user_data);
    return install_initial_keys(conn, impl.tls->backend(), *dcid) ? 0 : NGTCP2_ERR_CALLBACK_FAILURE;
  }
  static int recv_retry(ngtcp2_conn* conn, const ngtcp2_pkt_hd* header, void* user_data) {
    auto& impl = self(user_data);
    return install_initial_keys(conn, impl.tls->backend(), header->scid)
               ? 0
               : NGTCP2_ERR_CALLBACK_FAILURE;
  }
  static int recv_crypto_data(ngtcp2_conn* conn, ngtcp2_encryption_level level, std::uint64_t,
                              const std::uint8_t* data, std::size_t size, void* user_data) {
    auto& impl = self(user_data);
    if (!impl.tls) {
      // Tickets are off and key updates are QUIC's own (RFC 9001 §6): nothing may follow.
      ngtcp2_conn_set_tls_alert(conn, GNUTLS_A_UNEXPECTED_MESSAGE);
      return NGTCP2_ERR_CRYPTO;
    }
    if (impl.tls->advance(level, {data, size})) return 0;
    const int rv = ngtcp2_conn_get_tls_error(conn);
    return rv != 0 ? rv : NGTCP2_ERR_CRYPTO;
  }
  static int handshake_completed(ngtcp2_conn*, void* user_data) {
    self(user_data).on_handshake_completed();
    return 0;
  }

  // --- streams
  static int recv_stream_data(ngtcp2_conn*, std::uint32_t flags, std::int64_t id, std::uint64_t,
                              const std::uint8_t* data, std::size_t size, void* user_data,
                              void* user) {
    auto& impl = self(user_data);
    if (impl.announced_close) return 0;
    if (user != nullptr) static_cast<Stream*>(user)->unconsumed += size;
    impl.handler.on_stream_data(id, {data, size}, (flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0);
    return 0;
  }
  static int acked_stream_data_offset(ngtcp2_conn*, std::int64_t, std::uint64_t, std::uint64_t size,
                                      void* user_data, void* stream) {
    if (stream != nullptr) self(user_data).on_acknowledged(*static_cast<Stream*>(stream), size);
    return 0;
  }
  static int stream_open(ngtcp2_conn* conn, std::int64_t id, void* user_data) {
    auto& impl = self(user_data);
    ngtcp2_conn_set_stream_user_data(conn, id, &impl.streams.add(id));
    if (!impl.announced_close) impl.handler.on_stream_opened(id);
    return 0;
  }
  static int stream_close(ngtcp2_conn*, std::uint32_t, std::int64_t id, std::uint64_t,
                          void* user_data, void*) {
    self(user_data).on_stream_over(id);
    return 0;
  }
  static int stream_reset(ngtcp2_conn*, std::int64_t id, std::uint64_t, std::uint64_t code,
                          void* user_data, void*) {
    auto& impl = self(user_data);
    if (!impl.announced_close) impl.handler.on_stream_reset(id, code);
    return 0;
  }
  static int extend_max_stream_data(ngtcp2_conn*, std::int64_t, std::uint64_t, void* user_data,
                                    void* user) {
    if (auto* stream = static_cast<Stream*>(user)) {
      stream->blocked = false;
      self(user_data).streams.update(*stream);
    }
    return 0;
  }

  // --- datagrams
  static int recv_datagram(ngtcp2_conn*, std::uint32_t, const std::uint8_t* data, std::size_t size,
                           void* user_data) {
    auto& impl = self(user_data);
    // A peer that is not proven yet is not heard.
    if (impl.established && !impl.announced_close) impl.handler.on_datagram({data, size});
    return 0;
  }
  static int ack_datagram(ngtcp2_conn*, std::uint64_t id, void* user_data) {
    self(user_data).on_datagram_fate(id, true);
    return 0;
  }
  static int lost_datagram(ngtcp2_conn*, std::uint64_t id, void* user_data) {
    self(user_data).on_datagram_fate(id, false);
    return 0;
  }

  // --- ids and paths
  static void rand(std::uint8_t* out, std::size_t size, const ngtcp2_rand_ctx* context) {
    static_cast<base::Random*>(context->native_handle)->fill({out, size});
  }
  static int get_path_challenge_data(ngtcp2_conn*, std::uint8_t* data, void* user_data) {
    self(user_data).config.random->fill({data, NGTCP2_PATH_CHALLENGE_DATALEN});
    return 0;
  }
  static int get_new_connection_id(ngtcp2_conn*, ngtcp2_cid* id, std::uint8_t* token, std::size_t,
                                   void* user_data) {
    auto& impl = self(user_data);
    const ConnectionId made = impl.config.cid_layout.make(*impl.config.random);
    ngtcp2_cid_init(id, made.octets.data(), made.length);
    make_reset_token(impl.config.reset_key, made, token);
    if (!impl.announced_close) impl.handler.on_connection_id_added(made);
    return 0;
  }
  static int remove_connection_id(ngtcp2_conn*, const ngtcp2_cid* id, void* user_data) {
    auto& impl = self(user_data);
    if (!impl.announced_close) impl.handler.on_connection_id_removed(from_ngtcp2(*id));
    return 0;
  }
  static int path_validation(ngtcp2_conn*, std::uint32_t, const ngtcp2_path* path,
                             const ngtcp2_path*, ngtcp2_path_validation_result result,
                             void* user_data) {
    auto& impl = self(user_data);
    if (!impl.announced_close) {
      impl.handler.on_path_validated(SyntheticPath::id_of(*path),
                                     result == NGTCP2_PATH_VALIDATION_RESULT_SUCCESS);
    }
    return 0;
  }
  static int recv_stateless_reset(ngtcp2_conn*, const ngtcp2_pkt_stateless_reset*,
                                  void* user_data) {
    self(user_data).was_reset = true;
    return 0;
  }
};

void Connection::Impl::set_callbacks(ngtcp2_callbacks& callbacks, bool server) {
  using C = NgtcpCallbacks;
  if (server) {
    callbacks.recv_client_initial = C::recv_client_initial;
  } else {
    callbacks.client_initial = C::client_initial;
    callbacks.recv_retry = C::recv_retry;
  }
  set_crypto_callbacks(callbacks);
  callbacks.recv_crypto_data = C::recv_crypto_data;
  callbacks.handshake_completed = C::handshake_completed;
  callbacks.recv_stream_data = C::recv_stream_data;
  callbacks.acked_stream_data_offset = C::acked_stream_data_offset;
  callbacks.stream_open = C::stream_open;
  callbacks.stream_close = C::stream_close;
  callbacks.stream_reset = C::stream_reset;
  callbacks.extend_max_stream_data = C::extend_max_stream_data;
  callbacks.recv_datagram = C::recv_datagram;
  callbacks.ack_datagram = C::ack_datagram;
  callbacks.lost_datagram = C::lost_datagram;
  callbacks.rand = C::rand;
  callbacks.get_path_challenge_data = C::get_path_challenge_data;
  callbacks.get_new_connection_id = C::get_new_connection_id;
  callbacks.remove_connection_id = C::remove_connection_id;
  callbacks.path_validation = C::path_validation;
  callbacks.recv_stateless_reset = C::recv_stateless_reset;
}

void Connection::Impl::on_handshake_completed() {
  outcome = tls->outcome();
  if (!outcome || announced_close) return;  // after_input() ends a handshake without a peer
  established = true;
  if (server && initial_dcid) {
    // The client has switched to our ids.
    handler.on_connection_id_removed(*initial_dcid);
    initial_dcid.reset();
  }
  handler.on_established(outcome->peer);
}

// The lowest bit of an id says that its packet was a large one; the others are the owner's tag.
void Connection::Impl::on_datagram_fate(std::uint64_t id, bool arrived) {
  const bool large = (id & 1) != 0;
  if (!arrived) ++datagrams_lost;
  if (large && arrived) black_hole.arrived();
  if (large && !arrived) {
    ngtcp2_conn_info info;
    ngtcp2_conn_get_conn_info(conn.get(), &info);
    // The smoothed one may have seen an outage, and be seconds.
    const bool measured = info.min_rtt != UINT64_MAX;
    black_hole.lost(base::from_ns(last_ts), base::Duration(measured ? info.min_rtt : 0));
  }
  const std::uint64_t tag = id >> 1;
  if (tag == 0 || announced_close) return;
  arrived ? handler.on_datagram_acked(tag) : handler.on_datagram_lost(tag);
}

void Connection::Impl::on_acknowledged(Stream& stream, std::size_t size) {
  stream.out.acknowledged(size);
  if (!stream.wants_room || stream.write_over || stream.fin || announced_close) return;
  // Not for every packet: wake the owner when a worthwhile piece is free.
  if (room(stream) < std::min<std::size_t>(config.send_buffer / 4, 4 * chunk_size)) return;
  stream.wants_room = false;
  handler.on_stream_writable(stream.id);
}

void Connection::Impl::on_stream_over(StreamId id) {
  Stream* stream = streams.find(id);
  if (stream == nullptr) return;
  closed_stream_losses += ngtcp2_conn_get_stream_loss_count(conn.get(), id);
  // What the owner still holds no longer counts: the id is dead, it cannot consume() any more.
  ngtcp2_conn_extend_max_offset(conn.get(), stream->unconsumed);
  if (ngtcp2_conn_is_local_stream(conn.get(), id) == 0) {
    ngtcp2_conn_extend_max_streams_bidi(conn.get(), 1);
  }
  streams.remove(*stream);
  if (!announced_close) handler.on_stream_closed(id);
}

}  // namespace ztna::quic
