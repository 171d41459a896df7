#include "tool/ping_view.hpp"

#include <algorithm>

#include "tool/status_format.hpp"
#include "tool/status_json.hpp"

namespace ztna::tool {

base::Result<PingAnswer> read_ping(std::uint64_t seq, const std::string& document) {
  const auto parsed = parse_status(document);
  if (!parsed) return tl::unexpected(parsed.error());
  PingAnswer answer;
  Json json = {{"seq", seq}};
  for (const auto& [key, value] : parsed->items()) json[key] = value;
  answer.json = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  answer.line = text(*parsed, "service") + ": seq=" + std::to_string(seq) + " ";
  if (!member(*parsed, "error").is_null()) {
    const std::string error = text(*parsed, "error");
    answer.final = error == "denied" || error == "unknown_service" || error == "untrusted";
    answer.line += "no answer: " + error;
    const std::string why = text(*parsed, "text", "");
    if (!why.empty()) answer.line += " (" + why + ")";
    return answer;
  }
  answer.answered = true;
  const std::string via = text(*parsed, "via");
  answer.direct = via == "DIRECT";
  answer.rtt_ms = number(*parsed, "rtt_ms").value_or(0);
  const std::string connector = text(*parsed, "connector");
  answer.line += "from " + connector.substr(connector.rfind('/') + 1) + " via " + via + " (" +
                 text(*parsed, "peer") + ") time=" + format_ms(answer.rtt_ms);
  return answer;
}

void PingTotals::add(const PingAnswer& answer) {
  ++asked_;
  if (!answer.answered) return;
  least_ms_ = answered_ == 0 ? answer.rtt_ms : std::min(least_ms_, answer.rtt_ms);
  most_ms_ = std::max(most_ms_, answer.rtt_ms);
  sum_ms_ += answer.rtt_ms;
  ++answered_;
  if (answer.direct) ++direct_;
}

std::string PingTotals::text() const {
  std::string out = format_count(asked_) + " asked, " + format_count(answered_) + " answered (" +
                    format_count(direct_) + " direct)";
  if (answered_ == 0) return out;
  return out + ", round trip min / mean / max " + format_ms(least_ms_) + " / " +
         format_ms(sum_ms_ / static_cast<double>(answered_)) + " / " + format_ms(most_ms_);
}

}  // namespace ztna::tool
