// What a quickstart reads out of the daemons' /v1/status. Pure: documents in, facts out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/address.hpp"
#include "base/result.hpp"

namespace ztna::tool {

// Nothing when the daemon is ready, else why not.
[[nodiscard]] std::optional<std::string> not_ready(std::string_view status);

// The first address that it listens on.
[[nodiscard]] base::Result<base::Address> listen_address(std::string_view status);

// Does this Agent see a healthy Connector for the service?
[[nodiscard]] bool sees_service(std::string_view agent, const std::string& service);

// Where this Agent's forward to the service listens.
[[nodiscard]] base::Result<base::Address> forward_address(std::string_view agent,
                                                          const std::string& service);

// How many flows the Connector has carried for the service.
[[nodiscard]] std::uint64_t flows_carried(std::string_view connector, const std::string& service);

// Why the Agent's latest flow failed: "backend_refused (…)"; empty: none did.
[[nodiscard]] std::string last_failure(std::string_view agent);

struct SessionFacts {
  std::string id;                // hexadecimal
  std::string agent, connector;  // SPIFFE ids
  std::string path;              // "RELAY"
  std::string relay;             // where that relay is
  double rtt_ms = 0;
  std::string aead;  // the Agent's packet protection; empty: not told
};
// The Agent's ready session, as it sees it.
[[nodiscard]] base::Result<SessionFacts> session_facts(std::string_view agent);

struct RelayFacts {
  std::uint64_t packets = 0, octets = 0;
};
// What the Intermediate counted for that session.
[[nodiscard]] base::Result<RelayFacts> relay_facts(std::string_view intermediate,
                                                   const std::string& session);

}  // namespace ztna::tool
