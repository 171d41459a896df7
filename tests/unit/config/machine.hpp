// A made-up machine for the parsers: arguments, variables, files and folders as a test says.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "config/config.hpp"

namespace ztna::config {

struct Machine {
  std::vector<std::string> arguments;
  Environment environment{{"ZTNA_RUNTIME_DIR", "/rt"}};
  std::map<std::string, std::string> files;
  std::vector<std::string> folders{"/rt"};

  [[nodiscard]] Inputs inputs() const {
    Inputs inputs;
    inputs.arguments = arguments;
    inputs.environment = environment;
    inputs.read_file = [this](const std::string& path) -> base::Result<std::string> {
      const auto found = files.find(path);
      if (found != files.end()) return found->second;
      return base::fail(base::ErrorCode::not_found, "No such file or directory",
                        "\"" + path + "\"");
    };
    inputs.file_exists = [this](const std::string& path) { return files.contains(path); };
    inputs.directory_usable = [this](const std::string& path) {
      return std::ranges::find(folders, path) != folders.end();
    };
    return inputs;
  }

  [[nodiscard]] auto intermediate() const { return parse_intermediate(inputs(), "v"); }
  [[nodiscard]] auto connector() const { return parse_connector(inputs(), "v"); }
  [[nodiscard]] auto agent() const { return parse_agent(inputs(), "v"); }
};

// What each program needs before anything else can be looked at; given as variables so that tests
// are free to add flags. A file given by flag or ZTNA_CONFIG does not disturb them.
inline Machine intermediate_machine(std::vector<std::string> arguments = {}) {
  Machine machine;
  machine.arguments = std::move(arguments);
  machine.environment["ZTNA_CERT_DIR"] = "/certs";
  machine.environment["ZTNA_POLICY"] = "/policy.toml";
  return machine;
}
inline Machine connector_machine(std::vector<std::string> arguments = {}) {
  Machine machine = intermediate_machine(std::move(arguments));
  machine.environment["ZTNA_INTERMEDIATE"] = "relay.example";
  machine.environment["ZTNA_SERVICE"] = "web=tcp://127.0.0.1:8080";
  return machine;
}
inline Machine agent_machine(std::vector<std::string> arguments = {}) {
  Machine machine;
  machine.arguments = std::move(arguments);
  machine.environment["ZTNA_CERT_DIR"] = "/certs";
  machine.environment["ZTNA_INTERMEDIATE"] = "relay.example";
  return machine;
}

// The one line a user would read; "" when there was no error.
template <class T>
std::string line(const base::Result<T>& result) {
  return result ? "" : result.error().message();
}
// What an Agent says to these flags.
inline std::string agent_says(std::vector<std::string> arguments) {
  return line(agent_machine(std::move(arguments)).agent());
}

}  // namespace ztna::config
