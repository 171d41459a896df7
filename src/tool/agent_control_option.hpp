// For the commands that ask an Agent.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace ztna::tool {

// --control SOCKET; empty: the usual one (control.hpp).
inline void add_agent_control_option(CLI::App& command, std::string& into) {
  command
      .add_option("--control", into,
                  "the Agent's control socket, instead of this machine's usual one")
      ->type_name("SOCKET");
}

}  // namespace ztna::tool
