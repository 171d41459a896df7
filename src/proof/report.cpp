#include "proof/report.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace ztna::proof {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view report_format = "ztna-proof/1";
constexpr std::size_t nonce_octets = 16;  // of signatures

base::Error not_a_report(const std::string& what) {
  return {base::ErrorCode::invalid_argument, "not a report of ztna prove: " + what, {}, {}};
}

// Throws Json::exception, as everything that reads here.
base::Bytes octets(const Json& json) {
  const auto& text = json.get_ref<const std::string&>();
  base::Bytes out(text.size() / 2);
  if (!base::from_hex(text, out)) throw Json::other_error::create(501, "not hexadecimal", nullptr);
  return out;
}

Json to_json(const identity::SignedText& s) {
  return {{"text", s.text},
          {"signature", base::to_hex(s.signature)},
          {"certificate", base::to_hex(s.certificate)}};
}

identity::SignedText signed_of(const Json& json) {
  return {json.at("text").get<std::string>(), octets(json.at("signature")),
          octets(json.at("certificate"))};
}

Snapshot snapshot_of(const Json& json) {
  const auto name = json.at("step").get<std::string>();
  const auto* const step =
      std::ranges::find_if(all_steps, [&](Step known) { return to_string(known) == name; });
  if (step == all_steps.end()) throw Json::other_error::create(501, "unknown step", nullptr);
  return {*step, signed_of(json.at("agent")), signed_of(json.at("connector")),
          signed_of(json.at("intermediate"))};
}

}  // namespace

std::string_view to_string(Step step) {
  switch (step) {
    case Step::start: return "start";
    case Step::after_traffic: return "after_traffic";
    case Step::relay_suspended: return "relay_suspended";
    case Step::after_relay_suspended: return "after_relay_suspended";
    case Step::direct_suspended: return "direct_suspended";
    case Step::after_direct_suspended: return "after_direct_suspended";
    case Step::returned: return "returned";
  }
  return "unknown";
}

bool intermediate_first(Step step) {
  return step != Step::after_traffic && step != Step::after_relay_suspended &&
         step != Step::after_direct_suspended;
}

std::string first_nonce(const std::string& run, std::uint64_t packets, Step step) {
  return run + "." + std::to_string(packets) + "." + std::to_string(static_cast<int>(step));
}

std::string second_nonce(const std::string& first, const std::vector<base::Bytes>& signatures) {
  // The ends of signatures: nobody has them before they are made.
  std::string nonce = first + ".";
  const std::size_t share = nonce_octets / std::max<std::size_t>(signatures.size(), 1);
  for (const base::Bytes& signature : signatures) {
    nonce += base::to_hex(base::BytesView(signature).last(std::min(share, signature.size())));
  }
  return nonce;
}

std::string to_json(const Report& report, const std::string& verdict) {
  Json snapshots = Json::array();
  for (const Snapshot& s : report.snapshots) {
    snapshots.push_back({{"step", to_string(s.step)},
                         {"agent", to_json(s.agent)},
                         {"connector", to_json(s.connector)},
                         {"intermediate", to_json(s.intermediate)}});
  }
  const Json json = {{"format", report_format},
                     {"service", report.service},
                     {"nonce", report.nonce},
                     {"packets", report.packets},
                     {"failures", report.failures},
                     {"verdict", Json::parse(verdict, nullptr, false)},
                     {"snapshots", std::move(snapshots)}};
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

base::Result<Report> parse_report(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object() || json.value("format", Json()) != Json(report_format)) {
    return tl::unexpected(
        not_a_report("expected a JSON object of the format " + std::string(report_format)));
  }
  Report report;
  try {
    report.service = json.at("service").get<std::string>();
    report.nonce = json.at("nonce").get<std::string>();
    const Json& packets = json.at("packets");
    if (!packets.is_number_unsigned())
      return tl::unexpected(not_a_report("packets is not a count"));
    report.packets = packets.get<std::uint64_t>();
    report.failures = json.at("failures").get<std::vector<std::string>>();
    for (const Json& snapshot : json.at("snapshots")) {
      report.snapshots.push_back(snapshot_of(snapshot));
    }
  } catch (const Json::exception& error) {
    return tl::unexpected(not_a_report(error.what()));
  }
  return report;
}

base::Result<identity::SignedText> parse_signed(std::string_view json) {
  const Json parsed = Json::parse(json, nullptr, false);
  try {
    return signed_of(parsed);
  } catch (const Json::exception& error) {
    return tl::unexpected(not_a_report(error.what()));
  }
}

}  // namespace ztna::proof
