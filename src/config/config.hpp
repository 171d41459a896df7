// Command line, environment and TOML file in; typed options out. One option table per program;
// flag > environment > file > default. The parsers here are pure: all they learn about the machine
// comes through Inputs. Errors have code invalid_argument and read as one line that names the
// thing, where it stands and what is expected; a program prints it and exits 2.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "config/options.hpp"

namespace ztna::config {

using Environment = std::map<std::string, std::string, std::less<>>;

struct Inputs {
  std::vector<std::string> arguments;  // without the program's name
  Environment environment;             // an empty value counts as not set
  std::function<base::Result<std::string>(const std::string& path)> read_file;
  std::function<bool(const std::string& path)> file_exists;
  // May this process create a socket there? A missing last component that it may create is fine.
  std::function<bool(const std::string& path)> directory_usable;
  // For people's tools, which look at a configuration that other flags may complete: what is
  // missing is a gap of the result, and no error.
  bool partial = false;
};

// A whole file of at most 1 MiB; errors name the path. Impure.
[[nodiscard]] base::Result<std::string> read_file(const std::string& path);

// The process's own arguments, environment and file system. Impure.
[[nodiscard]] Inputs from_process(int argc, char** argv);

template <class Options>
struct Parsed {
  // --help, --version or --print-config was asked for: write this to stdout, exit 0, and do not
  // look at `options`.
  std::optional<std::string> print;
  Options options;
  std::vector<std::string> warnings;  // for the log, once it is up
  std::vector<base::Error> gaps;      // with Inputs::partial: why a daemon would not start
};

// `version` is what --version prints, without a newline.
[[nodiscard]] base::Result<Parsed<IntermediateOptions>> parse_intermediate(
    const Inputs& inputs, std::string_view version);
[[nodiscard]] base::Result<Parsed<ConnectorOptions>> parse_connector(const Inputs& inputs,
                                                                     std::string_view version);
[[nodiscard]] base::Result<Parsed<AgentOptions>> parse_agent(const Inputs& inputs,
                                                             std::string_view version);

// Every variable that one of the programs reads.
[[nodiscard]] std::vector<std::string> known_variables();

// A file of NAME=VALUE lines, which systemd (EnvironmentFile=), shells and container runtimes read.
// They differ in what else they allow; what they would not all read alike is a slip.
struct EnvironmentFile {
  struct Entry {
    std::string name, value;
    std::size_t line = 0;
  };
  struct Slip {
    std::size_t line = 0;
    std::string what;
  };
  std::vector<Entry> entries;  // in order; of a name that comes twice the last counts
  std::vector<Slip> slips;
};
[[nodiscard]] EnvironmentFile parse_environment_file(std::string_view text);

// Where the control socket of `role` ("intermediate", "connector", "agent") stands by default, best
// first: $ZTNA_RUNTIME_DIR alone when it is set, else /run/ztna and $XDG_RUNTIME_DIR/ztna. A daemon
// takes the first usable one, `ztna` the first that exists.
[[nodiscard]] std::vector<std::string> control_candidates(std::string_view role,
                                                          const Environment& environment);

}  // namespace ztna::config
