// Asks services through the local addresses that an Agent has for them. Blocking, each within its
// limit; for the command.
#pragma once

#include <string>
#include <string_view>

#include "tool/validate_facts.hpp"

namespace ztna::tool {

// Where this Agent (its /v1/status) takes connections ("tcp") or datagrams ("udp") for a service:
// a forward's address, else the one that --auto-forward gave it; nothing: nowhere.
[[nodiscard]] std::optional<base::Address> local_address_of(std::string_view status,
                                                            const std::string& service,
                                                            std::string_view protocol);

// GET / of HTTP/1.1.
[[nodiscard]] ReachedFacts fetch(const base::Address& local);

// Asks a server of the Quake 3 family who it is (getinfo), three times at most.
[[nodiscard]] ReachedFacts ask_game(const base::Address& local);

// "arena, 2 of 8 players" of its answer; nothing when it is none.
[[nodiscard]] std::optional<std::string> read_game_info(std::string_view datagram);

}  // namespace ztna::tool
