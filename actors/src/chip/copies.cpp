#include "chip/copies.hpp"

#include <algorithm>
#include <utility>

#include "data/data.hpp"

namespace troupe::actors {
namespace {

/// Memory of copies that are gone is kept for new copies of the same size, up to so many bytes.
constexpr std::uint64_t most_spare = 256ULL << 20U;

}  // namespace

Copy& Copies::of(std::uint64_t buffer, const Piece& piece) {
  auto& slot = copies_[{buffer, piece.number}];
  if (!slot) {
    slot = std::make_unique<Copy>();
    slot->buffer = buffer;
    slot->piece = piece;
    slot->bytes = packed_bytes(piece.box);
  }
  return *slot;
}

Copy* Copies::find(PieceOf id) {
  const auto known = copies_.find(id);
  return known == copies_.end() ? nullptr : known->second.get();
}

void Copies::drop(PieceOf id) {
  const auto known = copies_.find(id);
  if (known == copies_.end()) return;
  auto& copy = *known->second;
  copy.detached = true;
  detached_.push_back(std::move(known->second));
  copies_.erase(known);
  settle(copy);
}

void Copies::begin(const CopyUse& use) {
  auto& copy = *use.copy;
  ++copy.users;
  copy.writers += use.writes ? 1 : 0;
  copy.used_at = ++clock_;
}

void Copies::end(const CopyUse& use) {
  auto& copy = *use.copy;
  --copy.users;
  copy.writers -= use.writes ? 1 : 0;
  if (copy.detached) settle(copy);
}

void Copies::give_up_memory(Copy& copy) {
  copy.state = Copy::State::empty;
  copy.written = false;
  copy.at_home.clear();
  const auto address = std::exchange(copy.address, 0);
  if (address == 0) return;
  if (spare_bytes_ + copy.bytes <= most_spare) {
    spare_[copy.bytes].push_back(address);
    spare_bytes_ += copy.bytes;
  } else {
    surplus_.push_back(address);
    bytes_ -= copy.bytes;
  }
}

void Copies::settle(Copy& copy) {
  if (!copy.detached || copy.users != 0 || copy.state == Copy::State::coming || copy.leaving) return;
  give_up_memory(copy);
  const auto place =
      std::find_if(detached_.begin(), detached_.end(), [&](const auto& it) { return it.get() == &copy; });
  if (place == detached_.end()) return;
  std::swap(*place, detached_.back());
  detached_.pop_back();
}

std::uint64_t Copies::reuse(std::uint64_t bytes) {
  const auto same = spare_.find(bytes);
  if (same == spare_.end()) return 0;
  const auto address = same->second.back();
  same->second.pop_back();
  if (same->second.empty()) spare_.erase(same);
  spare_bytes_ -= bytes;
  bytes_ -= bytes;
  return address;
}

std::vector<std::uint64_t> Copies::take_spare() {
  auto list = take_surplus();
  for (const auto& [bytes, addresses] : spare_) list.insert(list.end(), addresses.begin(), addresses.end());
  spare_.clear();
  bytes_ -= std::exchange(spare_bytes_, 0);
  return list;
}

std::vector<std::uint64_t> Copies::take_surplus() { return std::exchange(surplus_, {}); }

void Copies::took(Copy& copy, std::uint64_t address) {
  copy.address = address;
  bytes_ += copy.bytes;
}

std::vector<Copy*> Copies::idle() const {
  std::vector<Copy*> found;
  for (const auto& [id, copy] : copies_) {
    if (copy->busy == 0 && !copy->pinned && copy->address != 0 && copy->state != Copy::State::coming &&
        !copy->leaving)
      found.push_back(copy.get());
  }
  std::sort(found.begin(), found.end(), [](const Copy* a, const Copy* b) { return a->used_at < b->used_at; });
  return found;
}

std::vector<const Copy*> Copies::pinned() const {
  std::vector<const Copy*> found;
  for (const auto& [id, copy] : copies_) {
    if (copy->pinned && copy->address != 0) found.push_back(copy.get());
  }
  std::sort(found.begin(), found.end(), [](const Copy* a, const Copy* b) { return a->bytes > b->bytes; });
  return found;
}

void Copies::clear() {
  copies_.clear();
  detached_.clear();
  spare_.clear();
  surplus_.clear();
  spare_bytes_ = bytes_ = 0;
}

std::vector<std::uint64_t> Copies::addresses() const {
  std::vector<std::uint64_t> all = surplus_;
  const auto add = [&](std::uint64_t address) {
    if (address != 0) all.push_back(address);
  };
  for (const auto& [id, copy] : copies_) add(copy->address);
  for (const auto& copy : detached_) add(copy->address);
  for (const auto& [bytes, addresses] : spare_) all.insert(all.end(), addresses.begin(), addresses.end());
  return all;
}

}  // namespace troupe::actors
