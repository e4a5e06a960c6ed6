#include "memory/device_memory.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>
#include <utility>

#include "memory/addresses.hpp"
#include "troupe/comm/memory_left.hpp"
#include "troupe/comm/threads_hint.hpp"
#include "troupe/comm/window.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::common {

namespace {

constexpr std::size_t remembered_frees = 4096;
// Large enough that freed addresses rest for a while before they are given away again.
constexpr std::size_t smallest_range = std::size_t{1} << 30;

std::string hex(std::uint64_t address) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(address));
  return text;
}

std::string amount(std::uint64_t size) { return std::to_string(size) + " bytes"; }

}  // namespace

DeviceMemory::~DeviceMemory() {
  if (source_ == nullptr) return;
  for (const auto& [address, piece] : live_) source_->give_back(address - piece.lead, piece.whole);
}

bool DeviceMemory::reserve(std::size_t size) {
  auto range = AddressRange::reserve(std::max(size + page_size, smallest_range));
  if (!range) return false;
  // Its first page is never given away: a guard, also towards a range that may lie before it.
  gaps_.emplace(range->base() + page_size, range->size() - page_size);
  ranges_.push_back(*std::move(range));
  return true;
}

std::uint64_t DeviceMemory::find_space(std::size_t size) {
  auto fits = [size](const auto& gap) { return gap.second >= size; };
  auto start = gaps_.lower_bound(cursor_);
  auto gap = std::find_if(start, gaps_.end(), fits);
  if (gap == gaps_.end()) {
    gap = std::find_if(gaps_.begin(), start, fits);
    if (gap == start) gap = gaps_.end();  // none of those before it fits either
  }
  if (gap == gaps_.end()) {
    if (!reserve(size)) return 0;
    gap = std::find_if(gaps_.begin(), gaps_.end(), fits);
  }
  const auto [address, length] = *gap;
  gaps_.erase(gap);
  if (length > size) gaps_.emplace(address + size, length - size);
  cursor_ = address + size;
  forget_freed(address, size);
  return address;
}

// The addresses live again.
void DeviceMemory::forget_freed(std::uint64_t address, std::size_t size) {
  auto stale = freed_.lower_bound(address);
  while (stale != freed_.end() && stale->first < address + size) stale = freed_.erase(stale);
}

Result<std::uint64_t> DeviceMemory::take(std::size_t size, std::size_t whole, std::string_view label) {
  if (source_ != nullptr) {
    auto address = source_->take(whole);
    if (!address) return address;
    // What was freed may have begun before it.
    if (const auto* piece = piece_at(freed_, *address); piece != nullptr) freed_.erase(piece->first);
    forget_freed(*address, whole);
    return address;
  }
  const std::uint64_t begin = find_space(whole + page_size);
  if (begin != 0 && AddressRange::commit(begin, whole)) return begin;
  return Error(Errc::out_of_memory,
               "the host has no memory for " + amount(size) + " of device memory for " + std::string(label) +
                   "\n" + map_locked(16),
               comm::limit_hint(ENOMEM));
}

void DeviceMemory::give_back(std::uint64_t begin, std::size_t whole) {
  if (source_ != nullptr) return source_->give_back(begin, whole);
  AddressRange::decommit(begin, whole);
  auto gap = gaps_.emplace(begin, whole + page_size).first;
  if (auto next = std::next(gap); next != gaps_.end() && gap->first + gap->second == next->first) {
    gap->second += next->second;
    gaps_.erase(next);
  }
  if (gap != gaps_.begin()) {
    if (auto previous = std::prev(gap); previous->first + previous->second == gap->first) {
      previous->second += gap->second;
      gaps_.erase(gap);
    }
  }
}

std::uint64_t& DeviceMemory::account(Owner owner) noexcept {
  return owner == Owner::chip ? statistics_.internal : statistics_.in_use;
}

Result<void> DeviceMemory::host_has(std::size_t size, std::string_view label) {
  if (const auto left = size > comm::worth_asking ? comm::memory_left() : size; size > left) {
    return Error(Errc::out_of_memory,
                 "the host has " + amount(left) + " left, not the " + amount(size) +
                     " of device memory for " + std::string(label),
                 "free device tensors, or split the work");
  }
  return {};
}

Result<std::uint64_t> DeviceMemory::allocate(std::size_t size, std::string_view label, Owner owner,
                                             MemoryForm form) {
  if (size == 0) {
    return Error(Errc::invalid_argument, "device allocation of 0 bytes for " + std::string(label));
  }
  const std::lock_guard lock(mutex_);
  const std::uint64_t taken = statistics_.in_use + statistics_.internal;
  if (size > statistics_.capacity - std::min(taken, statistics_.capacity)) {
    return Error(Errc::out_of_memory,
                 "device out of memory: " + amount(size) + " for " + std::string(label) + " do not fit, " +
                     amount(taken) + " of " + amount(statistics_.capacity) + " in use\n" + map_locked(16),
                 "free device tensors, or split the work");
  }
  const bool of_host = source_ == nullptr;
  if (auto room = of_host ? host_has(size, label) : Result<void>(); !room) return room.error();
  const std::size_t lead = form.shift + (checked_ ? page_size : 0);
  const std::size_t used = lead + size + form.room + (checked_ ? guard_bytes : 0);
  const std::size_t whole = of_host ? round_up(used, page_size) : used;
  const auto begin = take(size, whole, label);
  if (!begin) return begin;
  const auto piece = live_.emplace(*begin + lead, Piece{size, std::string(label), owner, lead, whole}).first;
  if (form.room == 0) zone_behind(*piece).fill();  // what lies in between is not ours
  zone_before(*piece).fill();
  account(owner) += size;
  if (owner != Owner::user) return piece->first;
  statistics_.peak = std::max(statistics_.peak, statistics_.in_use);
  ++statistics_.live_allocations;
  ++statistics_.total_allocations;
  return piece->first;
}

GuardZone DeviceMemory::zone_before(const Pieces::value_type& piece) const {
  const std::size_t bytes = piece.second.owner == Owner::window ? comm::window_slack : guard_bytes;
  return {piece.first - (checked_ ? bytes : 0), piece.first};
}

// To the end of the last page, beyond which it faults.
GuardZone DeviceMemory::zone_behind(const Pieces::value_type& piece) {
  const std::uint64_t end = piece.first + piece.second.size;
  if (piece.second.owner == Owner::window) return {end, end + comm::window_slack};
  return {end, piece.first - piece.second.lead + piece.second.whole};
}

std::optional<Overstep> DeviceMemory::take_overstep(std::uint64_t address, std::uint64_t size) {
  if (!checked_) return std::nullopt;
  const std::lock_guard lock(mutex_);
  const auto* piece = piece_at(live_, address);
  if (piece == nullptr) return std::nullopt;
  // From the tensor on, which may be a part.
  const auto farther = [](std::optional<Overstep> found, std::uint64_t by) {
    if (found) *found = {found->where, found->nearest + by, found->farthest + by};
    return found;
  };
  const std::uint64_t rest =
      piece->first + piece->second.size - std::min(address + size, piece->first + piece->second.size);
  if (auto found = farther(damage_behind(zone_behind(*piece)), rest)) return found;
  if (auto found = farther(damage_before(zone_before(*piece)), address - piece->first)) return found;
  const bool is_window = piece->second.owner == Owner::window;
  for (const GuardZone& gap : piece->second.gaps) {
    if (!is_window) {
      const auto damage = gap.take_damage();
      if (!damage) continue;
      return Overstep{Overstep::Where::between, damage->begin - piece->first, damage->end - 1 - piece->first};
    }
    // Its buffers are memory of their own; what lies next to the others is theirs to find.
    std::optional<Overstep> found;
    if (gap.begin == address + size) found = damage_behind(gap);
    if (gap.end == address) found = damage_before(gap);
    if (found) return found;
  }
  return std::nullopt;
}

void DeviceMemory::set_gaps(std::uint64_t address, std::vector<GuardZone> gaps) {
  for (const GuardZone& gap : gaps) gap.fill();
  const std::lock_guard lock(mutex_);
  if (auto piece = live_.find(address); piece != live_.end()) piece->second.gaps = std::move(gaps);
}

bool DeviceMemory::same_piece(std::uint64_t address, std::uint64_t other) const {
  const std::lock_guard lock(mutex_);
  const auto* piece = piece_at(live_, address);
  return piece != nullptr && piece == piece_at(live_, other);
}

bool DeviceMemory::is_window(std::uint64_t address) const {
  const std::lock_guard lock(mutex_);
  const auto* piece = piece_at(live_, address);
  return piece != nullptr && piece->second.owner == Owner::window;
}

Result<void> DeviceMemory::take_out(Pieces::iterator piece) {
  const std::uint64_t address = piece->first;
  const std::size_t size = piece->second.size;
  const std::size_t whole = piece->second.whole;
  const std::uint64_t begin = address - piece->second.lead;
  const bool of_user = piece->second.owner == Owner::user;  // of ours it was asked when it was used
  const bool behind = of_user && zone_behind(*piece).take_damage().has_value();
  const bool before = of_user && zone_before(*piece).take_damage().has_value();
  give_back(begin, whole);
  account(piece->second.owner) -= size;
  if (piece->second.owner == Owner::user) --statistics_.live_allocations;
  std::string label = piece->second.label;
  freed_.insert_or_assign(address, std::move(piece->second));
  freed_order_.push_back(address);
  if (freed_order_.size() > remembered_frees) {
    freed_.erase(freed_order_.front());
    freed_order_.pop_front();
  }
  live_.erase(piece);
  if (behind || before) {
    const std::string where = behind ? "past the end of " : "before the beginning of ";
    return Error(Errc::out_of_range, "something wrote " + where + hex(address) + " (" + amount(size) + ", " +
                                         label + "); found when it was freed");
  }
  return {};
}

Result<void> DeviceMemory::release(std::uint64_t address) {
  const std::lock_guard lock(mutex_);
  auto piece = live_.find(address);
  if (piece != live_.end() && piece->second.owner == Owner::user) return take_out(piece);
  if (piece != live_.end() && piece->second.owner == Owner::window) {
    return Error(Errc::bad_address, hex(address) + " is a window slice; its domain releases it");
  }
  if (freed_.contains(address)) {
    return Error(Errc::double_free, "double free of " + hex(address) + " (" +
                                        amount(freed_.at(address).size) + ", " + freed_.at(address).label +
                                        ")");
  }
  return stray(address, 1, "freed address");
}

void DeviceMemory::release_internal(std::uint64_t address) noexcept {
  const std::lock_guard lock(mutex_);
  auto piece = live_.find(address);
  if (piece == live_.end() || piece->second.owner != Owner::chip) return;
  static_cast<void>(take_out(piece));
}

const DeviceMemory::Pieces::value_type* DeviceMemory::piece_at(const Pieces& pieces,
                                                               std::uint64_t address) const {
  auto after = pieces.upper_bound(address);
  if (after == pieces.begin()) return nullptr;
  const auto& piece = *std::prev(after);
  return address - piece.first < piece.second.size ? &piece : nullptr;
}

bool DeviceMemory::has(std::uint64_t address, std::size_t size) const {
  const std::lock_guard lock(mutex_);
  const auto* piece = piece_at(live_, address);
  return piece != nullptr && piece->second.owner != Owner::chip &&
         size <= piece->second.size - (address - piece->first);
}

Result<void> DeviceMemory::check(std::uint64_t address, std::size_t size, std::string_view what) const {
  if (has(address, size)) return {};
  const std::lock_guard lock(mutex_);
  return stray(address, size, what);
}

Error DeviceMemory::stray(std::uint64_t address, std::size_t size, std::string_view what) const {
  const std::string name(what);
  const auto* live = piece_at(live_, address);
  if (const auto* piece = live; piece != nullptr && piece->second.owner != Owner::chip) {
    const std::uint64_t offset = address - piece->first;
    if (offset != 0 && size == 1) {
      return Error(Errc::bad_address,
                   name + ": " + hex(address) + " lies " + amount(offset) + " inside the allocation at " +
                       hex(piece->first) + " (" + piece->second.label + ")",
                   "free the address that malloc returned");
    }
    return Error(Errc::out_of_range, name + ": " + amount(size) + " at " + hex(address) +
                                         " reach past the end of " + hex(piece->first) + " (" +
                                         amount(piece->second.size) + ", " + piece->second.label + ")");
  }
  if (const auto* piece = piece_at(freed_, address)) {
    return Error(Errc::bad_address, name + ": " + hex(address) + " was freed (" + amount(piece->second.size) +
                                        ", " + piece->second.label + ")");
  }
  return Error(Errc::bad_address, name + ": " + hex(address) + " is not memory of this device",
               "pass an address that this chip's malloc returned, or a host tensor to be copied in");
}

bool DeviceMemory::same_allocation(std::uint64_t start, std::uint64_t address) const {
  const std::lock_guard lock(mutex_);
  const auto* piece = piece_at(live_, address);
  return piece != nullptr && piece->first == start;
}

void DeviceMemory::add_window(std::uint64_t address, std::size_t size, std::string_view name,
                              std::vector<GuardZone> gaps) {
  const std::lock_guard lock(mutex_);
  Piece window{size, std::string(name), Owner::window};
  window.gaps = std::move(gaps);
  const auto [piece, fresh] = live_.insert_or_assign(address, std::move(window));
  if (fresh) statistics_.window_bytes += size;
  if (!checked_) return;
  zone_before(*piece).fill();
  zone_behind(*piece).fill();
  for (const GuardZone& gap : piece->second.gaps) gap.fill();
}

void DeviceMemory::remove_window(std::uint64_t address) {
  const std::lock_guard lock(mutex_);
  auto piece = live_.find(address);
  if (piece == live_.end() || piece->second.owner != Owner::window) return;
  statistics_.window_bytes -= piece->second.size;
  live_.erase(piece);
}

MemoryStatistics DeviceMemory::statistics() const {
  const std::lock_guard lock(mutex_);
  return statistics_;
}

std::string DeviceMemory::map(std::size_t lines) const {
  const std::lock_guard lock(mutex_);
  return map_locked(lines);
}

std::string DeviceMemory::map_locked(std::size_t lines) const {
  if (live_.empty()) return "memory map: nothing is allocated";
  std::vector<const Pieces::value_type*> pieces;
  pieces.reserve(live_.size());
  for (const auto& piece : live_) pieces.push_back(&piece);
  std::sort(pieces.begin(), pieces.end(),
            [](const auto* a, const auto* b) { return a->second.size > b->second.size; });
  std::string text = "memory map (" + std::to_string(pieces.size()) + " allocations):";
  for (std::size_t i = 0; i < std::min(lines, pieces.size()); ++i) {
    text += "\n  " + hex(pieces[i]->first) + "  " + amount(pieces[i]->second.size) + "  " +
            pieces[i]->second.label;
  }
  if (pieces.size() > lines) text += "\n  and " + std::to_string(pieces.size() - lines) + " more";
  return text;
}

std::vector<std::string> DeviceMemory::live() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> lines;
  for (const auto& [address, piece] : live_) {
    if (piece.owner == Owner::user)
      lines.push_back(hex(address) + " " + amount(piece.size) + " " + piece.label);
  }
  return lines;
}

}  // namespace troupe::platform::common
