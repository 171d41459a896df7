// Any octets as a statement or a report of `ztna prove`: they are read or refused, what is read is
// written as it was, and nothing that nobody signed proves anything.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "proof/judge.hpp"
#include "proof/statement.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace proof = ztna::proof;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto statement = proof::parse_statement(text)) {
    const auto again = proof::parse_statement(proof::to_text(*statement));
    if (!again || proof::to_text(*again) != proof::to_text(*statement)) std::abort();
    if (proof::open({std::string(text), {}, {}})) std::abort();
  }
  if (const auto report = proof::parse_report(text)) {
    const auto again = proof::parse_report(proof::to_json(*report, "null"));
    if (!again || again->snapshots.size() != report->snapshots.size()) std::abort();
    const auto verdict = proof::judge(*report, nullptr);
    if (verdict && report->snapshots.empty()) std::abort();
  }
  return 0;
}
