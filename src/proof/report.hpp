// The record of one `ztna prove`: what the three nodes stated at each step. What it proves is found
// out by judge.hpp, from the statements alone. Pure values; not tied to any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "identity/signed_text.hpp"

namespace ztna::proof {

// When statements are taken, in this order.
enum class Step : std::uint8_t {
  start,                   // the direct path is selected
  after_traffic,           // `packets` questions later
  relay_suspended,         // the Intermediate relays nothing of this session
  after_relay_suspended,   // and `packets` questions later still does not
  direct_suspended,        // both ends drop what is direct, and use the relay
  after_direct_suspended,  // `packets` questions later
  returned,                // the direct path is selected again
};
inline constexpr std::array all_steps = {Step::start,
                                         Step::after_traffic,
                                         Step::relay_suspended,
                                         Step::after_relay_suspended,
                                         Step::direct_suspended,
                                         Step::after_direct_suspended,
                                         Step::returned};
[[nodiscard]] std::string_view to_string(Step step);

// In what order the three are asked at a step: what begins is stated by the Intermediate first,
// what is over by the ends first, so that what it relayed between two steps encloses what they
// sent. Who comes second is asked with a nonce that did not exist before the first's signature.
[[nodiscard]] bool intermediate_first(Step step);
// `run`: Report::nonce, 1 to 20 characters; `packets`: Report::packets, below 10^9. Both are signed
// by it.
[[nodiscard]] std::string first_nonce(const std::string& run, std::uint64_t packets, Step step);
[[nodiscard]] std::string second_nonce(const std::string& first,
                                       const std::vector<base::Bytes>& signatures);

struct Snapshot {
  Step step = Step::start;
  identity::SignedText agent, connector, intermediate;
};

struct Report {
  std::string service, nonce;
  std::uint64_t packets = 0;  // questions asked, and answered, between two snapshots
  std::vector<Snapshot> snapshots;
  std::vector<std::string> failures;  // why steps are missing, in the words of who refused
};

// JSON, for files. `verdict` (JSON) is for people and programs in a hurry: nobody signed it.
[[nodiscard]] std::string to_json(const Report& report, const std::string& verdict);
[[nodiscard]] base::Result<Report> parse_report(std::string_view text);

// Of one signed statement: {"text", "signature", "certificate"}, octets in hexadecimal.
[[nodiscard]] base::Result<identity::SignedText> parse_signed(std::string_view json);

}  // namespace ztna::proof
