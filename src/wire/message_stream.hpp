// Protobuf messages on a byte stream: each is preceded by its length as a protobuf varint (the form
// that protobuf calls "delimited").
//
// Threading: none; one owner at a time.
#pragma once

#include <cstddef>
#include <optional>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace google::protobuf {
class MessageLite;
}

namespace ztna::wire {

// Appends the length and the message to `out`.
void append_message(base::Bytes& out, const google::protobuf::MessageLite& message);

// False when `payload` is not such a message. What the peer sent never reaches the process's
// standard error, where protobuf would otherwise report it.
[[nodiscard]] bool parse_message(base::BytesView payload, google::protobuf::MessageLite& message);

// Messages on their way into a stream that takes them bit by bit. What was taken is let go of, so a
// peer that reads slowly, but reads, costs what it has not read.
class MessageWriter {
 public:
  void append(const google::protobuf::MessageLite& message) { append_message(out_, message); }
  // What the stream has not taken yet; sent() says how much it did now.
  [[nodiscard]] base::BytesView unsent() const { return base::BytesView(out_).subspan(sent_); }
  void sent(std::size_t size);
  void clear();
  // Octets of memory in use.
  [[nodiscard]] std::size_t held() const { return out_.size(); }

 private:
  base::Bytes out_;
  std::size_t sent_ = 0;
};

// Cuts a stream back into messages. Memory is what was fed and not yet taken: a length that a peer
// merely announces reserves nothing.
//
//   reader.feed(data);
//   while (const auto payload = reader.next()) { … }
//   if (reader.error()) …          // malformed: end the stream
//
// A flow's stream has one message and then raw octets: after the first next(), take_rest() hands
// them over.
class MessageReader {
 public:
  static constexpr std::size_t default_max_message = 64 * 1024;

  // Messages longer than `max_message` octets (without their length) are an error.
  explicit MessageReader(std::size_t max_message = default_max_message);

  // Ignored once there is an error.
  void feed(base::BytesView data);

  // The next complete message, without its length; empty messages are legal. Valid until the next
  // call of a non-const member. Nothing when more octets are needed or there is an error.
  [[nodiscard]] std::optional<base::BytesView> next();

  // Set when the stream can no longer be cut (a message too long, a malformed length); it stays.
  [[nodiscard]] const base::Error* error() const { return error_ ? &*error_ : nullptr; }

  // Octets after the last message that next() returned.
  [[nodiscard]] base::BytesView rest() const;
  // The same, moved out; the reader is empty afterwards.
  [[nodiscard]] base::Bytes take_rest();

 private:
  std::size_t max_message_;
  base::Bytes buffer_;
  std::size_t consumed_ = 0;  // octets at the front of buffer_ that belong to returned messages
  std::optional<base::Error> error_;
};

}  // namespace ztna::wire
