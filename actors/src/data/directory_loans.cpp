// The directory: bytes on their way from one chip to another, and several chips that have the newest.
#include <algorithm>
#include <optional>
#include <utility>

#include "data/directory.hpp"

namespace troupe::actors {
void Directory::takes_moves(std::int32_t chip, std::uint64_t how) {
  moves_[static_cast<std::size_t>(chip)] = how;
}

/// Whether the chip can have the piece from who answers for it. `retries`: the task is tried again if the
/// chip dies; what it is to change in place has to survive that.
bool Directory::goes_directly(const Part& part, const PartUse& use, std::int32_t chip, bool retries) const {
  if (part.newest < 0 || part.lost || part.only_by_home || (retries && use.writes)) return false;
  const auto own = moves_[static_cast<std::size_t>(chip)];
  return own != 0 && own == moves_[static_cast<std::size_t>(part.newest)];
}

void Directory::pass_on(const std::shared_ptr<Buffer>& buffer, Part& part, std::int32_t to) {
  const bool under_way =
      std::any_of(part.passing.begin(), part.passing.end(), [to](const Passing& it) { return it.to == to; });
  if (under_way) return;
  part.passing.push_back({to, part.newest, ++passed_});
  // From now on it hears of what happens to the piece.
  if (std::count(part.copies.begin(), part.copies.end(), to) == 0) part.copies.push_back(to);
  orders(part.newest).stores.push_back({buffer, part.piece.number, part.piece, passed_});
}

void Directory::passed(std::int32_t chip, const Stored::One& what) {
  auto* known = find(what.buffer);
  auto* part = known == nullptr ? nullptr : part_of(*known, what.piece);
  if (part == nullptr) return;
  // Of one that is not known any more the loan goes back, and the copy has been dropped.
  const auto it = std::find_if(part->passing.begin(), part->passing.end(),
                               [&](const Passing& one) { return one.number == what.passing; });
  if (it == part->passing.end() || chip != (what.taken ? it->to : it->from)) return;
  const auto buffer = what.loan ? known->buffer.lock() : nullptr;
  if (buffer) {
    orders(it->to).takes.push_back({buffer, part->piece, what.loan, what.passing});
    return;
  }
  const auto to = it->to;
  part->passing.erase(it);
  if (!what.taken || what.error) {
    part->only_by_home = true;
  } else if (part->newest >= 0 && !part->has_newest(to)) {
    part->also.push_back(to);
  }
}

/// Drops come before takes: what it has not been told of yet it does not take.
void Directory::order_drop(std::int32_t chip, const PieceOf& what) {
  auto& order = orders(chip);
  for (auto& take : order.takes) {
    if (take.buffer->number() == what.buffer && take.what.number == what.piece) take.loan = nullptr;
  }
  order.drops.push_back(what);
}

/// What chips without room were to hear when others have written there.
void Directory::answer_rooms() {
  for (const auto& [chip, what] : std::exchange(rooms_wanted_, {})) asks_for_room(chip, what);
}

/// The chip is gone. Where others have the same bytes one of them answers for these, and what was on its way
/// from there is not.
void Directory::hand_over(std::int32_t chip) {
  moves_[static_cast<std::size_t>(chip)] = 0;
  std::erase_if(rooms_wanted_, [chip](const auto& wanted) { return wanted.first == chip; });
  for (auto& [number, known] : entries_) {
    for (auto& part : known.parts) {
      std::erase(part.also, chip);
      for (const auto& passing : std::exchange(part.passing, {})) {
        if (passing.from != chip) {
          if (passing.to != chip) part.passing.push_back(passing);
          continue;
        }
        std::erase(part.copies, passing.to);
        order_drop(passing.to, {number, part.piece.number});
      }
      if (part.newest != chip || part.also.empty()) continue;
      part.answered_for_by(part.also.back());
      if (!part.coming || part.from != chip) continue;
      const auto buffer = known.buffer.lock();
      // Of what was written elsewhere since, or is lost, nothing comes: who waits for it is told.
      if (!buffer || known.version != buffer->version()) continue;
      part.coming = false;
      if (!part.waiting.empty()) order_store(buffer, part.piece.number, part.newest, part);
    }
  }
}

}  // namespace troupe::actors
