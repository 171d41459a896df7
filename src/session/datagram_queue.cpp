#include "session/datagram_queue.hpp"

namespace ztna::session {

void DatagramQueue::push(std::uint64_t flow, base::BytesView payload) {
  while (!queue_.empty() && bytes_ + payload.size() + cost_of_each > max_bytes) {
    ++counters_.overflowed;
    drop_front();
  }
  Waiting waiting{flow, {}};
  if (!spare_.empty()) {
    waiting.payload = std::move(spare_.back());
    spare_.pop_back();
  }
  waiting.payload.assign(payload.begin(), payload.end());
  bytes_ += waiting.cost();
  queue_.push_back(std::move(waiting));
}

void DatagramQueue::age(base::Time now) {
  for (auto it = queue_.rbegin(); it != queue_.rend() && it->since == base::never; ++it) {
    it->since = now;
  }
  while (!queue_.empty() && now - queue_.front().since > max_age) {
    ++counters_.too_old;
    drop_front();
  }
}

void DatagramQueue::drop_flow(std::uint64_t flow) {
  if (!queue_.empty() && queue_.front().flow == flow) cut_for_ = 0;
  std::erase_if(queue_, [&](const Waiting& waiting) {
    if (waiting.flow != flow) return false;
    bytes_ -= waiting.cost();
    return true;
  });
}

bool DatagramQueue::peek(Item& item) {
  const std::size_t limit = limit_ ? limit_() : 0;
  while (limit > 0 && !queue_.empty()) {
    const Waiting& front = queue_.front();
    if (cut_for_ == 0 || (index_ > 0 && limit < cut_for_)) {
      index_ = 0;
      ++number_;
      cut_for_ = limit;
    } else if (index_ == 0) {
      cut_for_ = limit;
    }
    const wire::FlowFragmenter cut(front.flow, number_, front.payload, cut_for_);
    if (cut.count() == 0) {
      ++counters_.too_large;
      drop_front();
      continue;
    }
    const wire::FlowDatagram piece = cut.piece(index_);
    item.header = base::BytesView(header_).first(piece.header.encode(header_));
    item.payload = piece.payload;
    item.tag = 0;
    return true;
  }
  return false;
}

void DatagramQueue::done(Fate fate) {
  if (fate == Fate::too_large) {
    ++counters_.too_large;
    drop_front();
    return;
  }
  const Waiting& front = queue_.front();
  const wire::FlowFragmenter cut(front.flow, number_, front.payload, cut_for_);
  if (++index_ >= cut.count()) drop_front();
}

void DatagramQueue::drop_front() {
  static constexpr std::size_t max_spare = 256;
  bytes_ -= queue_.front().cost();
  if (spare_.size() < max_spare) spare_.push_back(std::move(queue_.front().payload));
  queue_.pop_front();
  cut_for_ = 0;
  index_ = 0;
}

}  // namespace ztna::session
