// What a daemon was asked to do, as typed values. The initial values here ARE the defaults: the
// option tables read them for --help and --print-config. Plain data; no thread rules.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/time.hpp"
#include "logging/level.hpp"

namespace ztna::config {

enum class Transport : std::uint8_t { tcp, udp };
[[nodiscard]] const char* to_string(Transport transport);  // "tcp", "udp"

// Paths of PEM files, resolved: --cert-dir is already spread over them.
struct IdentityFiles {
  std::string certificate;
  std::string key;
  std::string roots;
  std::string public_roots = {};  // by which an Intermediate may prove its host name; empty: none
};

struct CommonOptions {
  std::string config_file;  // empty: none was given
  IdentityFiles identity;
  std::optional<base::Address> health;  // none: --health off
  std::string control;                  // path of the Unix socket; empty: --control off
  std::string audit_log;                // empty: none
  logging::Level log_level = logging::Level::info;
  logging::Format log_format = logging::Format::text;
};

struct IntermediateOptions {
  CommonOptions common;
  std::string policy;
  std::vector<base::Address> listen;      // at least one
  std::vector<base::Address> alt_listen;  // further addresses that answer STUN
  bool relay = true;
  // In its connection ids, for a load balancer that reads them (draft-ietf-quic-load-balancers,
  // plaintext); none: all random.
  std::optional<std::array<std::uint8_t, 8>> quic_lb_server_id;
  std::uint32_t max_uplinks = 20000;
  std::uint32_t max_uplinks_per_identity = 16;
  std::uint32_t max_sessions_per_uplink = 1024;
  std::uint32_t retry_threshold = 200;  // unproven handshakes in flight before Retry; 0: always

  IntermediateOptions();
};

struct Service {
  enum class Health : std::uint8_t { none, tcp };
  std::string name;
  Transport transport = Transport::tcp;
  base::HostPort backend;  // the host is resolved anew for each flow
  Health health = Health::none;
  [[nodiscard]] std::string to_string()
      const;  // "web=tcp://127.0.0.1:8080", ?health= where not default
  friend bool operator==(const Service&, const Service&) = default;
};

struct ConnectorOptions {
  CommonOptions common;
  std::string policy;
  std::vector<base::HostPort> intermediates;        // at least one
  std::vector<Service> services;                    // at least one; names are unique
  std::uint16_t p2p_listen_port = 4434;             // 0: ephemeral
  std::optional<base::Address> p2p_listen_address;  // port unused; none: any, IPv4 and IPv6
  std::vector<base::Address> p2p_advertise;
  bool no_p2p = false;
  std::uint32_t max_flows = 4096;
  base::Duration connect_timeout = std::chrono::seconds(5);

  ConnectorOptions();
};

struct Forward {
  Transport transport = Transport::tcp;
  base::Address listen;  // port 0: ephemeral
  std::string service;
  [[nodiscard]] std::string to_string() const;  // "tcp://127.0.0.1:8080=web"
  friend bool operator==(const Forward&, const Forward&) = default;
};

struct AgentOptions {
  CommonOptions common;
  std::vector<base::HostPort> intermediates;  // at least one
  std::vector<Forward> forwards;
  std::optional<base::Address> socks;
  bool auto_forward = false;
  std::uint16_t p2p_listen_port = 0;  // 0: ephemeral
  std::optional<base::Address> p2p_listen_address;
  bool no_p2p = false;
  bool direct_only = false;
  base::Duration udp_flow_idle = std::chrono::seconds(60);

  AgentOptions();
};

// Everything that can be said without touching files or the network. The error's `where` is the
// flag ("--forward"). Options that parse_*() returned have passed already.
[[nodiscard]] base::Status validate(const IntermediateOptions& options);
[[nodiscard]] base::Status validate(const ConnectorOptions& options);
[[nodiscard]] base::Status validate(const AgentOptions& options);

// What is allowed but deserves a line in the log, one sentence each.
[[nodiscard]] std::vector<std::string> cautions(const AgentOptions& options);

}  // namespace ztna::config
