#include "quic/streams.hpp"

namespace ztna::quic {

void StreamQueue::push(Stream& stream) {
  stream.previous = tail_;
  stream.next = nullptr;
  (tail_ != nullptr ? tail_->next : head_) = &stream;
  tail_ = &stream;
}

void StreamQueue::remove(Stream& stream) {
  (stream.previous != nullptr ? stream.previous->next : head_) = stream.next;
  (stream.next != nullptr ? stream.next->previous : tail_) = stream.previous;
  stream.previous = stream.next = nullptr;
}

void StreamQueue::rotate() {
  if (head_ == tail_) return;
  Stream& first = *head_;
  remove(first);
  push(first);
}

Stream& Streams::add(StreamId id) {
  auto& slot = table_[id];
  if (!slot) {
    slot = std::make_unique<Stream>(id, pool_);
    slot->index = all_.size();
    all_.push_back(slot.get());
  }
  return *slot;
}

Stream* Streams::find(StreamId id) const {
  const auto found = table_.find(id);
  return found == table_.end() ? nullptr : found->second.get();
}

void Streams::remove(Stream& stream) {
  if (stream.queued) queue_of(stream).remove(stream);
  all_.back()->index = stream.index;
  all_[stream.index] = all_.back();
  all_.pop_back();
  table_.erase(stream.id);
}

Stream& Streams::next_in_turn() {
  if (turn_ >= all_.size()) turn_ = 0;
  return *all_[turn_++];
}

void Streams::update(Stream& stream) {
  const bool wanted = stream.has_something_to_send();
  if (wanted == stream.queued) return;
  stream.queued = wanted;
  if (wanted) {
    queue_of(stream).push(stream);
  } else {
    queue_of(stream).remove(stream);
  }
}

void Streams::set_urgent(Stream& stream) {
  if (stream.urgent) return;
  if (stream.queued) queue_of(stream).remove(stream);
  stream.urgent = true;
  if (stream.queued) queue_of(stream).push(stream);
}

void Streams::rotate(Stream& stream) {
  if (stream.queued && queue_of(stream).front() == &stream) queue_of(stream).rotate();
}

}  // namespace ztna::quic
