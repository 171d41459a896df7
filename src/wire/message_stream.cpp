#include "wire/message_stream.hpp"

#include <google/protobuf/message_lite.h>
#include <google/protobuf/stubs/logging.h>

#include <limits>
#include <string>

namespace ztna::wire {
namespace {

// Protobuf limits a delimited message's length to 32 bits: five octets of seven bits.
constexpr std::size_t max_length_octets = 5;

// A writer keeps so much that was taken before it moves the rest to the front.
constexpr std::size_t max_taken_held = 64 * 1024;

}  // namespace

void append_message(base::Bytes& out, const google::protobuf::MessageLite& message) {
  const std::size_t size = message.ByteSizeLong();
  for (std::size_t left = size;; left >>= 7) {
    if (left < 0x80) {
      out.push_back(static_cast<std::uint8_t>(left));
      break;
    }
    out.push_back(static_cast<std::uint8_t>(left | 0x80));
  }
  const std::size_t at = out.size();
  out.resize(at + size);
  message.SerializeWithCachedSizesToArray(out.data() + at);
}

bool parse_message(base::BytesView payload, google::protobuf::MessageLite& message) {
  if (payload.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) return false;
  const google::protobuf::LogSilencer silence;
  return message.ParseFromArray(payload.data(), static_cast<int>(payload.size()));
}

void MessageWriter::sent(std::size_t size) {
  sent_ += size;
  if (sent_ == out_.size()) return clear();
  // Not at each call: every octet moved is paid for by one that left.
  if (sent_ < max_taken_held || sent_ < out_.size() / 2) return;
  out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(sent_));
  sent_ = 0;
}

void MessageWriter::clear() {
  base::Bytes().swap(out_);  // an idle stream owns no buffer
  sent_ = 0;
}

MessageReader::MessageReader(std::size_t max_message) : max_message_(max_message) {}

void MessageReader::feed(base::BytesView data) {
  if (error_) return;
  if (consumed_ > 0) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(consumed_));
    consumed_ = 0;
  }
  buffer_.insert(buffer_.end(), data.begin(), data.end());
}

std::optional<base::BytesView> MessageReader::next() {
  if (error_) return std::nullopt;
  const base::BytesView unread = rest();
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < unread.size(); ++i) {
    if (i == max_length_octets) {
      error_ = base::Error{base::ErrorCode::protocol, "malformed message length", {}, {}};
      return std::nullopt;
    }
    length |= std::uint64_t{unread[i] & 0x7fu} << (7 * i);
    if (length > max_message_) {
      error_ = base::Error{base::ErrorCode::protocol,
                           "message longer than " + std::to_string(max_message_) + " octets",
                           {},
                           {}};
      return std::nullopt;
    }
    if (unread[i] & 0x80) continue;
    if (unread.size() - i - 1 < length) return std::nullopt;
    consumed_ += i + 1 + length;
    return unread.subspan(i + 1, length);
  }
  return std::nullopt;
}

base::BytesView MessageReader::rest() const { return base::BytesView(buffer_).subspan(consumed_); }

base::Bytes MessageReader::take_rest() {
  buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(consumed_));
  consumed_ = 0;
  base::Bytes rest;
  rest.swap(buffer_);
  return rest;
}

}  // namespace ztna::wire
