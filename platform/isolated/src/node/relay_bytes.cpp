// A chip of a node: many bytes to it and from it, over connections of their own. They are read straight into
// the memory that the node and the chip's process have in common, and sent out of it.
#include <array>
#include <utility>

#include "node/relay.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::isolation {
namespace {

/// A program that is lost is noticed on the other connection, which then ends this one.
int for_ever(bool) { return -1; }

std::span<std::byte> bytes_of(BulkOrder& order) { return std::as_writable_bytes(std::span(&order, 1)); }

bool makes_sense(const BulkOrder& order) {
  return order.magic == BulkOrder::sign && order.bytes != 0 && order.bytes <= ~order.device &&
         (order.number & waited_for) == 0;
}

}  // namespace

bool Relay::lends(const Token& token, Way way) {
  const std::lock_guard lock(mutex_);
  auto& lent = lent_[static_cast<std::size_t>(way)];
  // Every byte is looked at: how long it takes tells nothing.
  unsigned differs = 0;
  for (std::size_t i = 0; i < token.size(); ++i) differs |= static_cast<unsigned>(token[i] ^ token_[i]);
  if (differs != 0 || lent.in_use || is_over() || !pieces_.contains(staging_piece)) return false;
  lent.in_use = true;
  return true;
}

void Relay::serve_bytes(Way way, std::unique_ptr<Stream> stream) {
  auto& lent = lent_[static_cast<std::size_t>(way)];
  std::unique_lock lock(mutex_);
  const bool serves = stream && !is_over();
  if (serves) lent.stream = stream.get();
  lock.unlock();
  auto how = Served::between_transfers;
  if (serves) how = way == Way::to_device ? take_bytes(*stream) : give_bytes(*stream);
  lock.lock();
  // The program waits for the rest, so the chip is of no use without. What it is told has to leave before the
  // connection ends; of what the chip died, where it has, is told already.
  if (how == Served::inside_transfer && !is_over())
    say_last("lost a connection for many bytes of the program");
  if (how != Served::between_transfers && !is_over()) program_.finish();
  lent.stream = nullptr;
  lent.in_use = false;
  changed_.notify_all();
}

void Relay::say_last(const std::string& text) {
  Writer words;
  words.text(text);
  (void)program_.send(Kind::obituary, 0, words.bytes());
}

Relay::Served Relay::misbehaved(const char* how) {
  say_last(std::string("the node was sent ") + how);
  return Served::misbehaved;
}

/// None: it is over.
std::optional<std::size_t> Relay::wait_for_slot(Way way, std::unique_lock<std::mutex>& lock) {
  std::optional<std::size_t> slot;
  changed_.wait(lock, [&] { return is_over() || (slot = copies_->lend(way)).has_value(); });
  return slot;
}

Relay::Served Relay::take_bytes(Stream& stream) {
  BulkOrder order;
  const auto room = bytes_of(order);
  while (receive_all(stream, room.first(1), for_ever)) {
    if (!receive_all(stream, room.subspan(1), for_ever)) return Served::inside_transfer;
    std::unique_lock lock(mutex_);
    if (is_over()) return Served::inside_transfer;
    if (!makes_sense(order)) return misbehaved("no order for bytes");
    if (!copies_->may_begin(order.number) || copies_->under_way() >= most_copies)
      return misbehaved("too many copies at once, or two of one number");
    copies_->begin_lent(order.number);
    for (std::uint64_t done = 0; done < order.bytes;) {
      const auto length = std::min(part_bytes, order.bytes - done);
      const auto slot = wait_for_slot(Way::to_device, lock);
      if (!slot) return Served::inside_transfer;
      lock.unlock();
      const bool came = receive_all(stream, {copies_->at(*slot), static_cast<std::size_t>(length)}, for_ever);
      lock.lock();
      if (is_over()) return Served::inside_transfer;
      if (!came) {
        copies_->give_back(Way::to_device, *slot);
        return Served::inside_transfer;
      }
      const PutPart part{order.device + done, done + length == order.bytes, 0};
      copies_->put_lent(order.number, part, *slot, length);
      done += length;
    }
  }
  return Served::between_transfers;
}

/// False: there is none now, or (`wait`) there will be none.
bool Relay::next_order(Stream& stream, Reading& reading, bool wait) {
  const auto room = bytes_of(reading.order);
  if (wait && reading.came == 0) {
    if (!receive_all(stream, room.first(1), for_ever)) return false;
    reading.came = 1;
  }
  if (wait) {
    if (!receive_all(stream, room.subspan(reading.came), for_ever)) return false;
    reading.came = room.size();
  }
  while (reading.came < room.size()) {
    const auto came = stream.receive(room.subspan(reading.came));
    if (came.bytes == 0) return false;
    reading.came += came.bytes;
  }
  return true;
}

/// Of the orders that have come as many slices as there are slots for. None of them, and how it ended: there
/// will be no more.
Relay::Served Relay::ask_for_slices(Stream& stream, Reading& reading, Slices& slices) {
  for (;;) {
    if (reading.is_whole() && reading.asked == reading.order.bytes) reading = {};
    if (!reading.is_whole() && !next_order(stream, reading, slices.empty()))
      return reading.came == 0 ? Served::between_transfers : Served::inside_transfer;
    std::unique_lock lock(mutex_);
    if (is_over() || !makes_sense(reading.order)) {
      slices.clear();  // what is under way is of no use any more
      return is_over() ? Served::inside_transfer : misbehaved("no order for bytes");
    }
    const auto slot =
        slices.empty() ? wait_for_slot(Way::from_device, lock) : copies_->lend(Way::from_device);
    if (!slot) return Served::inside_transfer;
    auto slice = std::make_shared<Slice>();
    slice->slot = *slot;
    slice->bytes = std::min(part_bytes, reading.order.bytes - reading.asked);
    const auto device = reading.order.device + reading.asked;
    reading.asked += slice->bytes;
    slice->last = reading.asked == reading.order.bytes;
    slices.push_back(slice);
    copies_->read_lent(*slot, device, slice->bytes,
                       [this, slice](std::int32_t code, const std::string& text) {
                         slice->code = code;
                         slice->text = text.substr(0, most_bulk_text);
                         slice->done = true;
                         changed_.notify_all();
                       });
  }
}

/// The first slice, once it is there.
bool Relay::give(Stream& stream, Slices& slices) {
  const auto slice = slices.front();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return is_over() || slice->done; });
  if (is_over()) return false;
  lock.unlock();
  const std::span<const std::byte> text = std::as_bytes(std::span(slice->text));
  const std::span<const std::byte> bytes(copies_->at(slice->slot), static_cast<std::size_t>(slice->bytes));
  const auto& told = slice->code == 0 ? bytes : text;
  const BulkSlice head{slice->code, static_cast<std::uint32_t>(told.size())};
  const bool sent = send_all(stream, std::as_bytes(std::span(&head, 1)), for_ever, true) &&
                    send_all(stream, told, for_ever);
  lock.lock();
  if (is_over()) return false;
  slices.pop_front();
  copies_->give_back(Way::from_device, slice->slot);
  return sent;
}

Relay::Served Relay::give_bytes(Stream& stream) {
  stream.gather();
  Reading reading;
  Slices slices;
  for (;;) {
    const auto how = ask_for_slices(stream, reading, slices);
    if (slices.empty()) return how;
    const auto first = slices.front();
    if (!give(stream, slices)) return Served::inside_transfer;
    if (first->code != 0 && !first->last && !skip_transfer(reading, slices)) return Served::inside_transfer;
  }
}

/// One has failed in its middle: the program reads nothing more of it.
bool Relay::skip_transfer(Reading& reading, Slices& slices) {
  bool last = false;
  std::unique_lock lock(mutex_);
  while (!last && !slices.empty()) {
    const auto next = slices.front();
    changed_.wait(lock, [&] { return is_over() || next->done; });
    if (is_over()) return false;
    last = next->last;
    slices.pop_front();
    copies_->give_back(Way::from_device, next->slot);
  }
  if (!last) reading.asked = reading.order.bytes;  // the rest was not even asked for
  return true;
}

}  // namespace troupe::platform::isolation
