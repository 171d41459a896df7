// The control streams of uplink and session: the first octet chooses the message, the second how
// the rest is cut, the rest is the stream. Whatever the cut, the same messages come out.
#include "wire/message_stream.hpp"

#include <memory>
#include <vector>

#include "fuzz/input.hpp"
#include "session.pb.h"
#include "uplink.pb.h"

using namespace ztna;

namespace {

constexpr std::size_t max_message = 4096;

std::unique_ptr<google::protobuf::MessageLite> make(std::uint8_t choice) {
  switch (choice % 4) {
    case 0: return std::make_unique<uplink::v1::Message>();
    case 1: return std::make_unique<session::v1::SessionMessage>();
    case 2: return std::make_unique<session::v1::FlowOpen>();
    default: return std::make_unique<session::v1::FlowReply>();
  }
}

struct Read {
  std::vector<base::Bytes> payloads;
  bool failed = false;
};

Read read(base::BytesView stream, std::size_t step) {
  wire::MessageReader reader(max_message);
  Read result;
  while (!stream.empty()) {
    const base::BytesView piece = stream.first(std::min(step, stream.size()));
    stream = stream.subspan(piece.size());
    reader.feed(piece);
    while (const auto payload = reader.next()) {
      FUZZ_ASSERT(payload->size() <= max_message);
      result.payloads.emplace_back(payload->begin(), payload->end());
    }
    FUZZ_ASSERT(reader.error() || reader.rest().size() <= max_message + 5);
  }
  result.failed = reader.error() != nullptr;
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const std::uint8_t choice = input.octet();
  const std::size_t step = 1 + std::size_t{input.octet()};
  const base::BytesView stream = input.rest();
  const Read cut = read(stream, step);
  const Read whole = read(stream, stream.size());
  FUZZ_ASSERT(cut.failed == whole.failed && cut.payloads == whole.payloads);
  for (const base::Bytes& payload : cut.payloads) {
    const auto message = make(choice);
    if (!wire::parse_message(payload, *message)) continue;
    base::Bytes written;
    wire::append_message(written, *message);
    wire::MessageReader reader(2 * max_message);
    reader.feed(written);
    const auto again = reader.next();
    FUZZ_ASSERT(again && reader.rest().empty());
    const auto copy = make(choice);
    FUZZ_ASSERT(wire::parse_message(*again, *copy));
    FUZZ_ASSERT(copy->SerializeAsString() == message->SerializeAsString());
  }
  return 0;
}
