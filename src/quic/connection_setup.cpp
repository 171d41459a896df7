#include <algorithm>
#include <array>

#include "quic/connection_impl.hpp"
#include "quic/keys.hpp"
#include "quic/ngtcp2_id.hpp"
#include "quic/reset_token.hpp"
#include "quic/synthetic_path.hpp"

namespace ztna::quic {
namespace {

constexpr std::size_t min_udp_payload = 1200;  // RFC 9000 §14

// Ids the peer may issue us. Each path needs one at both ends and old ones are retired with a
// delay, so a few moves in a row need room.
constexpr std::uint64_t active_ids = 8;

// Sizes to try, the hopeful first: what the owner allows, Ethernet less PPPoE, less GRE/IPsec, in
// WireGuard, in two tunnels, IPv6's minimum MTU. A success ends the search among smaller ones.
constexpr std::array<std::uint16_t, 6> common_sizes = {1444, 1406, 1372, 1332, 1280, 1232};

struct Probes {
  std::array<std::uint16_t, common_sizes.size() + 1> sizes{};
  std::size_t count = 0;
  explicit Probes(std::uint16_t largest) {
    if (largest > min_udp_payload) sizes[count++] = largest;
    for (const auto size : common_sizes) {
      if (size < largest) sizes[count++] = size;
    }
  }
};

// The settings point at `config` and `probes`; ngtcp2 copies both.
ngtcp2_settings make_settings(const Config& config, const Probes& probes, ngtcp2_tstamp ts) {
  ngtcp2_settings settings;
  ngtcp2_settings_default(&settings);
  settings.initial_ts = ts;
  settings.cc_algo =
      config.congestion == CongestionControl::bbr ? NGTCP2_CC_ALGO_BBR : NGTCP2_CC_ALGO_CUBIC;
  if (config.initial_rtt.count() > 0) {
    settings.initial_rtt = static_cast<ngtcp2_duration>(config.initial_rtt.count());
  }
  settings.handshake_timeout = static_cast<ngtcp2_duration>(config.handshake_timeout.count());
  settings.max_window = config.max_connection_window;
  settings.max_stream_window = config.max_stream_window;
  settings.max_tx_udp_payload_size = config.max_udp_payload;
  settings.no_pmtud = config.pmtud && probes.count > 0 ? 0 : 1;
  settings.pmtud_probes = probes.sizes.data();
  settings.pmtud_probeslen = probes.count;
  settings.rand_ctx.native_handle = config.random;
  return settings;
}

ngtcp2_transport_params make_params(const Config& config) {
  ngtcp2_transport_params params;
  ngtcp2_transport_params_default(&params);
  params.initial_max_stream_data_bidi_local = config.stream_window;
  params.initial_max_stream_data_bidi_remote = config.stream_window;
  params.initial_max_data = config.connection_window;
  params.initial_max_streams_bidi = config.peer_streams;
  params.max_idle_timeout = static_cast<ngtcp2_duration>(config.idle_timeout.count());
  params.active_connection_id_limit = active_ids;
  params.max_datagram_frame_size = 65535;
  return params;
}

base::Error start_error(int rv) {
  return {base::ErrorCode::internal, "cannot start a QUIC connection", "ngtcp2",
          ngtcp2_strerror(rv)};
}

}  // namespace

base::Status Connection::Impl::check(const Config& config) {
  const auto refuse = [](const char* what) {
    return base::fail(base::ErrorCode::invalid_argument, what, "quic::Config");
  };
  if (config.alpn.empty() || config.alpn.size() > 255) return refuse("an ALPN is needed");
  if (!config.credentials) return refuse("credentials are needed");
  if (config.random == nullptr) return refuse("a source of randomness is needed");
  if (config.max_udp_payload < min_udp_payload) {
    return refuse("max_udp_payload is less than the 1200 octets that QUIC needs");
  }
  return {};
}

base::Status Connection::Impl::start_tls() {
  const AeadBackend& backend = selected_aead();
  TlsSession::Options options;
  options.server = server;
  options.alpn = config.alpn;
  options.credentials = config.credentials;
  options.expect = config.expect;
  options.now = config.wall_now;
  options.backend = &backend;
  auto made = TlsSession::make(std::move(options));
  if (!made) return tl::unexpected(std::move(made.error()));
  tls = std::move(*made);
  return {};
}

base::Status Connection::Impl::start_client(PathId path, base::Time now) {
  if (auto ok = start_tls(); !ok) return ok;
  ngtcp2_callbacks callbacks{};
  set_callbacks(callbacks, false);
  const Probes probes(config.max_udp_payload);
  const ngtcp2_settings settings = make_settings(config, probes, stamp(now));
  const ngtcp2_transport_params params = make_params(config);
  ConnectionId first;
  first.length = cid_length;
  config.random->fill(base::MutableBytes(first.octets).first(cid_length));
  const ConnectionId own = config.cid_layout.make(*config.random);
  const ngtcp2_cid dcid = to_ngtcp2(first);
  const ngtcp2_cid scid = to_ngtcp2(own);
  SyntheticPath address(path);
  ngtcp2_conn* made = nullptr;
  if (int rv = ngtcp2_conn_client_new(&made, &dcid, &scid, address.get(), NGTCP2_PROTO_VER_V1,
                                      &callbacks, &settings, &params, nullptr, this);
      rv != 0) {
    return tl::unexpected(start_error(rv));
  }
  conn.reset(made);
  tls->attach(made);
  current_path = newest_path = path;
  if (config.keep_alive.count() > 0) {
    ngtcp2_conn_set_keep_alive_timeout(made,
                                       static_cast<ngtcp2_duration>(config.keep_alive.count()));
  }
  handler.on_connection_id_added(own);
  return {};
}

base::Status Connection::Impl::start_server(const Initial& initial, PathId path, base::Time now) {
  if (initial.version != NGTCP2_PROTO_VER_V1) {
    return base::fail(base::ErrorCode::invalid_argument, "not QUIC version 1", "quic::Initial");
  }
  if (auto ok = start_tls(); !ok) return ok;
  ngtcp2_callbacks callbacks{};
  set_callbacks(callbacks, true);
  const Probes probes(config.max_udp_payload);
  ngtcp2_settings settings = make_settings(config, probes, stamp(now));
  ngtcp2_transport_params params = make_params(config);
  const ConnectionId own = config.cid_layout.make(*config.random);
  const ngtcp2_cid dcid = to_ngtcp2(initial.scid);
  const ngtcp2_cid scid = to_ngtcp2(own);
  params.original_dcid = to_ngtcp2(initial.original_dcid.value_or(initial.dcid));
  params.original_dcid_present = 1;
  if (initial.retry_scid) {
    params.retry_scid = to_ngtcp2(*initial.retry_scid);
    params.retry_scid_present = 1;
    settings.token = initial.token.data();
    settings.tokenlen = initial.token.size();
    settings.token_type = NGTCP2_TOKEN_TYPE_RETRY;
  }
  make_reset_token(config.reset_key, own, params.stateless_reset_token);
  params.stateless_reset_token_present = 1;
  SyntheticPath address(path);
  ngtcp2_conn* made = nullptr;
  if (int rv = ngtcp2_conn_server_new(&made, &dcid, &scid, address.get(), initial.version,
                                      &callbacks, &settings, &params, nullptr, this);
      rv != 0) {
    return tl::unexpected(start_error(rv));
  }
  conn.reset(made);
  tls->attach(made);
  current_path = newest_path = path;
  if (config.keep_alive.count() > 0) {
    ngtcp2_conn_set_keep_alive_timeout(made,
                                       static_cast<ngtcp2_duration>(config.keep_alive.count()));
  }
  initial_dcid = initial.dcid;
  handler.on_connection_id_added(own);
  handler.on_connection_id_added(initial.dcid);
  return {};
}

}  // namespace ztna::quic
