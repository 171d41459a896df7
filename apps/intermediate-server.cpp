// intermediate-server: the Intermediate. `intermediate-server --help` says what it takes.
#include "apps/version.hpp"
#include "config/config.hpp"
#include "daemon/frame.hpp"
#include "intermediate/shell.hpp"
#include "logging/logging.hpp"

int main(int argc, char** argv) {
  using namespace ztna;  // NOLINT(google-build-using-namespace): in the program's one function
  static constexpr const char* program = "intermediate-server";
  if (const auto chosen = choose_aead(); !chosen)
    return daemon::fail_start(program, chosen.error());
  const auto parsed = config::parse_intermediate(config::from_process(argc, argv), version_text());
  if (const auto code = daemon::settle(program, parsed)) return *code;
  const auto& options = parsed->options;
  logging::init(options.common.log_level, options.common.log_format, program);
  for (const std::string& warning : parsed->warnings) logging::warn(warning);

  auto frame = daemon::Frame::create({.role = identity::Role::intermediate,
                                      .version = version_text(),
                                      .common = options.common,
                                      .policy_file = options.policy});
  if (!frame) return daemon::fail_start(program, frame.error());
  auto shell = intermediate::Shell::create(**frame, options, version_number());
  if (!shell) return daemon::fail_start(program, shell.error());
  return (*shell)->run();
}
