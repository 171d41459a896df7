// The streams of one connection: their send buffers, and who sends next. Urgent streams before the
// others; within a class round robin, a packet each.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "quic/connection.hpp"
#include "quic/send_buffer.hpp"

namespace ztna::quic {

struct Stream {
  Stream(StreamId stream_id, ChunkPool& pool) : id(stream_id), out(pool) {}
  const StreamId id;
  SendBuffer out;
  std::uint64_t unconsumed = 0;  // received octets the owner still holds
  bool urgent = false;
  bool fin = false;         // finish() was called
  bool write_over = false;  // FIN was sent, or the sending part was reset: nothing more will go
  bool blocked = false;     // by the peer's stream window
  bool wants_room = false;  // the owner waits for on_stream_writable()
  bool queued = false;
  std::size_t index = 0;  // in Streams' list of all
  Stream* previous = nullptr;
  Stream* next = nullptr;

  [[nodiscard]] bool has_something_to_send() const {
    return !write_over && !blocked && (out.unsent() > 0 || fin);
  }
};

// An intrusive list: no allocation to queue or rotate.
class StreamQueue {
 public:
  [[nodiscard]] Stream* front() const { return head_; }
  void push(Stream& stream);
  void remove(Stream& stream);
  void rotate();  // the front goes to the back

 private:
  Stream* head_ = nullptr;
  Stream* tail_ = nullptr;
};

class Streams {
 public:
  [[nodiscard]] Stream& add(StreamId id);
  [[nodiscard]] Stream* find(StreamId id) const;
  void remove(Stream& stream);
  // Queues or unqueues `stream` after its state changed.
  void update(Stream& stream);
  void set_urgent(Stream& stream);

  // The next in its class that has something to send, or null.
  [[nodiscard]] Stream* next_urgent() const { return urgent_.front(); }
  [[nodiscard]] Stream* next_ordinary() const { return ordinary_.front(); }
  // `stream` has had its packet.
  void rotate(Stream& stream);

  // Octets of all buffers, by whole chunks.
  [[nodiscard]] std::size_t held() const { return pool_.in_use() * chunk_size; }
  [[nodiscard]] std::size_t count() const { return all_.size(); }
  // Every stream in turn; count() must not be 0.
  [[nodiscard]] Stream& next_in_turn();
  template <class F>
  void each(F&& visit) const {
    for (const Stream* stream : all_) visit(*stream);
  }

 private:
  [[nodiscard]] StreamQueue& queue_of(const Stream& stream) {
    return stream.urgent ? urgent_ : ordinary_;
  }

  ChunkPool pool_;  // before the table: the streams' buffers return their chunks to it
  std::unordered_map<StreamId, std::unique_ptr<Stream>> table_;
  std::vector<Stream*> all_;
  std::size_t turn_ = 0;
  StreamQueue urgent_, ordinary_;
};

}  // namespace ztna::quic
