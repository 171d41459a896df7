// The first lines, up to an empty one, are arguments; the rest is the TOML file. Whatever comes in,
// the outcome is options, a text or one printable line; and what --print-config prints means the
// same when it is read back. All of it is a file of NAME=VALUE lines, too.
#include "config/config.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "fuzz/input.hpp"

using namespace ztna;

namespace {

config::Inputs machine(std::vector<std::string> arguments, std::string file) {
  config::Inputs inputs;
  inputs.arguments = std::move(arguments);
  inputs.environment = {{"ZTNA_RUNTIME_DIR", "/rt"}, {"ZTNA_CONFIG", "/c.toml"}};
  inputs.read_file = [file = std::move(file)](const std::string&) -> base::Result<std::string> {
    return file;
  };
  inputs.file_exists = [](const std::string&) { return true; };
  inputs.directory_usable = [](const std::string&) { return true; };
  return inputs;
}

template <class Parse>
void check(Parse parse, std::vector<std::string> arguments, const std::string& file) {
  const auto plain = parse(machine(arguments, file), "v");
  if (!plain) {
    const std::string line = plain.error().message();
    FUZZ_ASSERT(!line.empty());
    FUZZ_ASSERT(std::all_of(line.begin(), line.end(), [](char c) {
      const auto octet = static_cast<std::uint8_t>(c);
      return octet >= 0x20 && octet != 0x7f;
    }));
    return;
  }
  if (plain->print) return;
  FUZZ_ASSERT(config::validate(plain->options).has_value());
  arguments.insert(arguments.begin(), "--print-config");
  const auto printed = parse(machine(arguments, file), "v");
  FUZZ_ASSERT(printed && printed->print);
  const auto again = parse(machine({"--print-config"}, *printed->print), "v");
  FUZZ_ASSERT(again && again->print);
  const auto third = parse(machine({"--print-config"}, *again->print), "v");
  FUZZ_ASSERT(third && third->print == again->print);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = base::as_text({data, size});
  for (const auto& entry : config::parse_environment_file(text).entries) {
    FUZZ_ASSERT(!entry.name.empty() && entry.line > 0);
    FUZZ_ASSERT(entry.value.find('\n') == std::string::npos);
  }
  std::vector<std::string> arguments;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty()) break;
    arguments.emplace_back(line);
  }
  const std::string file(text);
  check(config::parse_intermediate, arguments, file);
  check(config::parse_connector, arguments, file);
  check(config::parse_agent, arguments, file);
  return 0;
}
