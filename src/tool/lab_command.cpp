#include "tool/lab_command.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ostream>

#include "config/values.hpp"

namespace ztna::tool {
namespace {

namespace fs = std::filesystem;

// Returns only when it cannot.
base::Error become_python(const fs::path& laboratory, std::vector<std::string> arguments,
                          const fs::path& programs) {
  setenv("ZTNA_BIN_DIR", programs.c_str(), 0);
  std::vector<std::string> command{"python3", "-B", laboratory.string()};
  command.insert(command.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& each : command) pointers.push_back(each.data());
  pointers.push_back(nullptr);
  execvp(pointers[0], pointers.data());
  if (errno == ENOENT) {
    return {base::ErrorCode::not_found,
            "the laboratory needs python3: apt-get install python3",
            {},
            {}};
  }
  return {base::ErrorCode::unavailable, "python3 cannot be started", {}, std::strerror(errno)};
}

void run(const std::vector<std::string>& arguments, Context& context) {
  const fs::path programs = fs::read_symlink("/proc/self/exe").parent_path();
  const auto laboratory = find_laboratory(programs);
  context.out.flush();
  const base::Error error =
      laboratory ? become_python(*laboratory, arguments, programs) : laboratory.error();
  context.err << "ztna lab: " << config::one_line(error.message()) << "\n";
  context.exit_code = 2;
}

}  // namespace

base::Result<fs::path> find_laboratory(const fs::path& programs) {
  const std::array<fs::path, 2> places{(programs / "../share/ztna/lab").lexically_normal(),
                                       (programs / "../../../lab").lexically_normal()};
  for (const fs::path& place : places) {
    std::error_code ignored;
    if (fs::is_regular_file(place / "__main__.py", ignored)) return place;
  }
  return base::fail(
      base::ErrorCode::not_found,
      "the laboratory is neither in " + places[0].string() + " nor in " + places[1].string());
}

void add_lab_command(CLI::App& root, Context& context) {
  CLI::App* const lab = root.add_subcommand(
      "lab", "The system behind real NATs, in network namespaces of this machine (needs root).");
  // Everything that follows, --help included, is the laboratory's.
  lab->prefix_command();
  lab->set_help_flag();
  lab->callback([lab, &context] { run(lab->remaining(), context); });
}

}  // namespace ztna::tool
