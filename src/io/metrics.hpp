// The Prometheus text exposition format, version 0.0.4: only formatting, the engines own the
// counters.
//
//   MetricsWriter out;
//   out.family("ztna_sessions", MetricType::gauge, "Sessions that are up.");
//   out.sample(12);
//   out.family("ztna_relay_dropped_total", MetricType::counter, "Relay datagrams dropped.");
//   out.sample(3, {{"reason", "queue_full"}});
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace ztna::io {

enum class MetricType : std::uint8_t { counter, gauge };

class MetricsWriter {
 public:
  using Label = std::pair<std::string_view, std::string_view>;
  static constexpr std::string_view content_type = "text/plain; version=0.0.4; charset=utf-8";

  // Starts a family; each name once in a text. Counters end in _total. Names and label names must
  // match [a-zA-Z_][a-zA-Z0-9_]*; help and label values may be anything.
  void family(std::string_view name, MetricType type, std::string_view help);
  // One sample of the current family. Label values are escaped.
  void sample(std::uint64_t value, std::initializer_list<Label> labels = {});
  void sample_real(double value, std::initializer_list<Label> labels = {});

  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  void begin_sample(std::initializer_list<Label> labels);
  std::string text_;
  std::string name_;
};

}  // namespace ztna::io
