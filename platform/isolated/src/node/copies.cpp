#include "node/copies.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace troupe::platform::isolation {

NodeCopies::NodeCopies(std::byte* memory, Ways ways) : memory_(memory), ways_(std::move(ways)) {
  for (std::size_t slot = 0; slot < slots_each_way; ++slot) {
    free_in_.push_back(slot);
    free_out_.push_back(slots_each_way + slot);
  }
}

void NodeCopies::call(std::uint64_t copy, bool to_device, std::size_t slot, std::uint64_t device,
                      std::uint64_t offset, std::uint64_t length) {
  const auto number = waited_for | ++last_;
  calls_[number] = {copy, offset, length, slot};
  ++copies_[copy].under_way;
  ways_.call(number, to_device ? Kind::copy_to : Kind::copy_from,
             CopyCall{device, slot * part_bytes, length, piece, 0});
}

NodeCopies::Copy& NodeCopies::put_part(std::uint64_t number, const PutPart& part) {
  auto& copy = copies_[number];
  copy.to_device = true;
  copy.last = part.last != 0;
  copy.quiet = part.quiet != 0;
  return copy;
}

bool NodeCopies::put(std::uint64_t number, const PutPart& part, std::span<const std::byte> payload) {
  // The number is taken, also while there is no room.
  copies_[number].to_device = true;
  if (free_in_.empty()) return false;
  if (put_part(number, part).code == 0) {
    const auto slot = free_in_.back();
    free_in_.pop_back();
    std::memcpy(at(slot), payload.data(), payload.size());
    call(number, true, slot, part.device, 0, payload.size());
  }
  settle(number);
  return true;
}

std::optional<std::size_t> NodeCopies::lend(Way way) {
  constexpr std::size_t for_others = 2;
  auto& free = way == Way::to_device ? free_in_ : free_out_;
  if (free.size() <= for_others) return std::nullopt;
  const auto slot = free.back();
  free.pop_back();
  return slot;
}

void NodeCopies::begin_lent(std::uint64_t number) {
  auto& copy = copies_[number];
  copy.to_device = copy.is_lent = true;
}

void NodeCopies::put_lent(std::uint64_t number, const PutPart& part, std::size_t slot, std::uint64_t length) {
  if (put_part(number, part).code == 0) {
    call(number, true, slot, part.device, 0, length);
  } else {
    give_back(Way::to_device, slot);
  }
  settle(number);
}

void NodeCopies::read_lent(std::size_t slot, std::uint64_t device, std::uint64_t length, Read read) {
  const auto number = waited_for | ++last_;
  reads_[number] = std::move(read);
  ways_.call(number, Kind::copy_from, CopyCall{device, slot * part_bytes, length, piece, 0});
}

void NodeCopies::get(std::uint64_t number, const GetCall& call) {
  auto& copy = copies_[number];
  copy.device = call.device;
  copy.bytes = call.bytes;
  to_ask_.push_back(number);
  ask_on();
}

void NodeCopies::ask_on() {
  while (!to_ask_.empty() && !free_out_.empty() && ways_.has_room()) {
    const auto number = to_ask_.front();
    to_ask_.pop_front();
    auto& copy = copies_[number];
    const auto length = std::min(part_bytes, copy.bytes - copy.asked);
    if (copy.code == 0 && length != 0) {
      const auto slot = free_out_.back();
      free_out_.pop_back();
      call(number, false, slot, copy.device + copy.asked, copy.asked, length);
      copy.asked += length;
    }
    copy.last = copy.code != 0 || copy.asked == copy.bytes;
    if (!copy.last) to_ask_.push_back(number);  // each has its turn
    settle(number);
  }
}

bool NodeCopies::answered(std::uint64_t number, std::int32_t code, const std::string& text) {
  if (const auto read = reads_.find(number); read != reads_.end()) {
    read->second(code, text);
    reads_.erase(read);
    return true;
  }
  const auto found = calls_.find(number);
  if (found == calls_.end()) return false;
  const auto call = found->second;
  calls_.erase(found);
  auto& copy = copies_[call.copy];
  --copy.under_way;
  if (code != 0 && copy.code == 0) {
    copy.code = code;
    copy.text = text;
  }
  if (copy.to_device) {
    free_in_.push_back(call.slot);
    // A long copy over a slow way has no answer for long: this says that it is being taken.
    if (code == 0 && ++taken_ % takes_told == 0) ways_.answer(0, 0, {});
  } else {
    if (code == 0) ways_.part(call.copy, call.offset, {at(call.slot), static_cast<std::size_t>(call.bytes)});
    free_out_.push_back(call.slot);
  }
  settle(call.copy);
  ask_on();
  return true;
}

/// Told when all of it has come and nothing is under way any more.
void NodeCopies::settle(std::uint64_t number) {
  const auto found = copies_.find(number);
  if (found == copies_.end() || !found->second.last || found->second.under_way != 0) return;
  const auto copy = std::move(found->second);
  copies_.erase(found);
  if (!copy.quiet || copy.code != 0) ways_.answer(number, copy.code, copy.text);
}

}  // namespace troupe::platform::isolation
