// The directory: bytes on their way home, and what ends.
#include <algorithm>

#include "data/directory.hpp"
#include "troupe/actors/errc.hpp"

namespace troupe::actors {
namespace {

using Waiting = std::vector<Directory::Then>;

void tell(const Waiting& waiting, const std::optional<Error>& error) {
  for (const auto& then : waiting) {
    if (then) then(error);
  }
}

void join(Waiting& to, Waiting&& more) { std::move(more.begin(), more.end(), std::back_inserter(to)); }

/// Calls `then` when it was called itself as often as was said, with the first error.
Directory::Then count_down(std::size_t from, Directory::Then then) {
  if (from == 1 || !then) return then;
  struct Open {
    std::size_t left;
    std::optional<Error> error;
  };
  return [open = std::make_shared<Open>(Open{from, {}}),
          then = std::move(then)](const std::optional<Error>& error) {
    if (error && !open->error) open->error = error;
    if (--open->left == 0) then(open->error);
  };
}

/// The task whose bytes would have gone with the copy has written none: host memory has what was before both.
template <class Part>
void nothing_displaced(Part& part) {
  part.displaced_on = -1;
  part.home_before = true;
}

/// Nothing comes from that chip any more: who waited for it, to be told.
template <class Part>
Waiting give_up(Part& part, std::int32_t chip) {
  if (!part.coming || part.from != chip) return {};
  part.coming = false;
  return std::exchange(part.waiting, {});
}

}  // namespace

void Directory::order_store(const std::shared_ptr<Buffer>& buffer, std::uint32_t from, std::int32_t chip,
                            Part& what) {
  what.coming = true;
  what.written_since = false;
  what.from = chip;
  orders(chip).stores.push_back({buffer, from, what.piece});
}

void Directory::bring_home(const std::shared_ptr<Buffer>& buffer, Then then, Wanted wanted) {
  auto* known = find(*buffer);
  if (known != nullptr) known = &entry(*buffer);  // as it is now
  const bool far = is_far(*buffer) || (known != nullptr && known->fetching);
  const auto comes = [&](const Part& part) {
    const bool good = wanted == Wanted::what_ended && home_is_good(part);
    return part.moves() || part.lost || (part.newest >= 0 && !good) || is_being_made(buffer->number(), part);
  };
  auto count = static_cast<std::size_t>(
      known == nullptr ? 0 : std::count_if(known->parts.begin(), known->parts.end(), comes));
  if (count == 0 && !far) {
    if (then) then(buffer->is_lost() ? std::optional<Error>(buffer->loss()) : std::nullopt);
    return;
  }
  const auto told = count_down(count + (far ? 1 : 0), std::move(then));
  if (far) {
    known = &entry(*buffer);
    known->waiting.push_back(told);
    if (!std::exchange(known->fetching, true)) fetches_.push_back(buffer);
  }
  for (auto& part : known->parts) {
    if (!comes(part)) continue;
    part.waiting.push_back(told);
    // What is made again is stored when it is there.
    if (!part.coming && part.newest >= 0 && !is_being_made(buffer->number(), part))
      order_store(buffer, part.piece.number, part.newest, part);
  }
}

void Directory::bring_home(const Missing& missing) {
  if (!missing.piece) return bring_home(missing.buffer, {});
  auto* known = find(*missing.buffer);
  auto* part = known == nullptr ? nullptr : part_of(*known, *missing.piece);
  if (part == nullptr || part->moves() || part->newest < 0) return;
  if (is_being_made(missing.buffer->number(), *part)) return;
  if (missing.to >= 0) return pass_on(missing.buffer, *part, missing.to);
  if (!missing.part) return order_store(missing.buffer, part->piece.number, part->newest, *part);
  const bool there = std::any_of(known->parts.begin(), known->parts.end(),
                                 [&](const Part& other) { return other.piece.box == *missing.part; });
  if (there) return;
  const auto chip = part->newest;
  auto& inside = known->parts.emplace_back(Part{{++known->last_piece, *missing.part}});
  known->nested = true;
  order_store(missing.buffer, *missing.piece, chip, inside);
}

void Directory::stored(std::int32_t chip, const Stored::One& what) {
  if (what.passing != 0) return passed(chip, what);
  auto* known = find(what.buffer);
  auto* part = known == nullptr ? nullptr : part_of(*known, what.piece);
  if (part == nullptr) return;
  if (what.for_room) return has_put_away(*known, *part, chip, what);
  const bool asked = part->coming && part->from == chip;
  if (asked) part->coming = false;
  const auto waiting = asked ? std::exchange(part->waiting, {}) : Waiting();
  const bool all = asked && !part->written_since;
  if (part->newest == chip) {
    if (!what.error && all) {
      part->is_home();
      part->origin = {};
      came_home(*known);
    }
  } else if (asked && part->newest < 0 && !part->moves() && part->copies.empty() && (what.error || !all)) {
    erase(*known, *part);  // out of date
  }
  if (!asked) return;
  note(*known, what.buffer, what.error);
  tell(waiting, what.error);
}

void Directory::asks_for_room(std::int32_t chip, PieceOf what) {
  auto* known = find(what.buffer);
  auto* part = known == nullptr ? nullptr : part_of(*known, what.piece);
  const auto buffer = part == nullptr ? nullptr : known->buffer.lock();
  const bool may = buffer && known->version == buffer->version() && part->has_newest(chip) && !part->lost;
  // Others write there, who wait for nobody that waits for room.
  const bool others =
      may && part->moves() && part->put_away_by != chip && !(part->coming && part->from == chip);
  if (others) return rooms_wanted_.emplace_back(chip, what), void();
  // Who writes host memory answers for the bytes: whoever is to change them elsewhere waits for it.
  if (may && part->newest != chip) {
    const auto before = part->newest;
    part->answered_for_by(chip);
    part->also.push_back(before);
  }
  if (may) part->put_away_by = chip;
  orders(chip).rooms.push_back({what, may});
}

void Directory::has_put_away(Entry& entry, Part& part, std::int32_t chip, const Stored::One& what) {
  if (part.put_away_by != chip) return;
  part.put_away_by = -1;
  // Tasks behind the one that it made room for may be about to write it.
  const bool ended = part.newest != chip || !unfinished_ || !unfinished_(chip, part.last);
  if (part.has_newest(chip) && !what.error && ended && !part.coming) {
    part.is_home();
    part.origin = {};
    came_home(entry);
  }
  // Who waits for bytes that come, or are being made again, goes on waiting.
  if (part.newest >= 0 || part.coming || part.lost || is_being_made(what.buffer, part)) return;
  const auto waiting = std::exchange(part.waiting, {});
  if (part.copies.empty()) erase(entry, part);
  tell(waiting, std::nullopt);
}

/// What was the newest is at home; with the last of its pieces the buffer is.
void Directory::came_home(const Entry& entry) {
  if (any_newest(entry)) return;
  if (const auto buffer = entry.buffer.lock()) buffer->came_home(self_.get());
}

void Directory::note(Entry& entry, std::uint64_t buffer, const std::optional<Error>& error) {
  if (!error) return;
  entry.trouble = error;
  troubled_.push_back(buffer);
}

void Directory::forget_troubles() {
  for (const auto buffer : std::exchange(troubled_, {})) {
    if (auto* known = find(buffer)) known->trouble.reset();
  }
}

void Directory::fetched(std::uint64_t buffer, const std::optional<Error>& error) {
  auto* known = find(buffer);
  if (known == nullptr || !std::exchange(known->fetching, false)) return;
  note(*known, buffer, error);
  tell(std::exchange(known->waiting, {}), error);
}

void Directory::store_all(std::int32_t chip, std::function<void()> then) {
  std::vector<std::pair<std::shared_ptr<Buffer>, std::uint32_t>> only_there;
  for (const auto& [number, known] : entries_) {
    // What was written elsewhere since, or is lost, is not what the chip has.
    auto buffer = known.buffer.lock();
    if (!buffer || known.version != buffer->version()) continue;
    for (const auto& part : known.parts) {
      if (part.newest == chip) only_there.emplace_back(buffer, part.piece.number);
    }
  }
  if (only_there.empty()) return then();
  const auto told =
      count_down(only_there.size(), [then = std::move(then)](const std::optional<Error>&) { then(); });
  for (const auto& [buffer, number] : only_there) {
    auto& part = *part_of(*find(*buffer), number);
    part.waiting.push_back(told);
    if (!part.coming && !is_being_made(buffer->number(), part)) order_store(buffer, number, chip, part);
  }
  orders(chip).at_once = true;
}

// --- ends ----------------------------------------------------------------------------------------

void Directory::withdrawn(std::int32_t chip, std::span<const Ticket> tasks) {
  const auto among = [&](Ticket ticket) { return std::binary_search(tasks.begin(), tasks.end(), ticket); };
  Waiting waited;
  for (auto& [number, known] : entries_) {
    bool home = false, gone = false;
    std::string writer;
    for (auto& part : known.parts) {
      if (part.displaced_on == chip && among(part.displaced)) nothing_displaced(part);
      // What is there was not made by it.
      if (part.newest == chip && among(part.last) && !is_being_made(number, part)) part.origin = {};
      if (part.newest != chip || !among(part.since)) continue;
      if (!among(part.last)) {
        // Others come after it, of which the last is known.
        part.since = part.last;
        part.home_before = part.there_before = false;
        continue;
      }
      if (std::exchange(part.there_before, false)) {  // and is still there
        part.since = part.last = 0;
        continue;
      }
      part.newest = -1;
      join(waited, give_up(part, chip));
      drop_all(part, number);
      (part.home_before ? home : gone) = true;
      if (!part.home_before) writer = part.writer.name();
    }
    const auto buffer = known.buffer.lock();
    if (gone && buffer) {
      buffer->lose_if_kept_by(self_.get(), Error(Errc::data_lost,
                                                 buffer->title() + " has no valid bytes: task \"" + writer +
                                                     "\", which was to write all of it, did not run",
                                                 write_again));
    } else if (home) {
      came_home(known);
    }
  }
  tell(waited, std::nullopt);
}

void Directory::lost(std::int32_t chip, std::span<const Ticket> tasks) {
  Waiting waited;
  for (auto& [number, known] : entries_) {
    bool home = false;
    const auto among = [&](Ticket ticket) { return std::binary_search(tasks.begin(), tasks.end(), ticket); };
    for (auto& part : known.parts) {
      if (part.displaced_on == chip && among(part.displaced)) nothing_displaced(part);
      if (part.newest == chip && among(part.last) && !is_being_made(number, part)) part.origin = {};
      if (part.newest != chip || !part.home_before || !among(part.since)) continue;
      part.newest = -1;
      std::erase(part.copies, chip);
      join(waited, give_up(part, chip));
      home = true;
    }
    if (home) came_home(known);
  }
  tell(waited, std::nullopt);
}

/// With the name of the node. -1: it is not known any more which chip it was.
std::string Directory::path_of(std::int32_t chip) const {
  return chip < 0 ? self_->path() : self_->path() + "/" + names_[static_cast<std::size_t>(chip)];
}

Error Directory::lost_bytes(const Buffer& buffer, const Part& part, std::int32_t chip) const {
  const bool all = part.piece.number == 0;
  return {Errc::data_lost,
          std::string("the newest bytes of ") + (all ? "" : "a part of ") + buffer.title() +
              ", which task \"" + std::string(part.writer.name()) + "\" wrote, were only on " +
              path_of(chip) + ", which is gone",
          write_again};
}

void Directory::down(std::int32_t chip, const Error& reason) {
  std::erase_if(orders_, [chip](const auto& order) { return order.first == chip; });
  hand_over(chip);
  plan_remakes(chip);
  std::vector<std::pair<Waiting, Error>> told_lost;
  Waiting told;
  for (auto& [number, known] : entries_) {
    const auto buffer = known.buffer.lock();
    std::optional<Error> gone;
    for (auto& part : known.parts) {
      std::erase(part.copies, chip);
      // Also of one that was to bring home a part of what is gone with it.
      const bool unseen = part.newest == chip || (part.coming && part.from == chip && part.newest < 0);
      if (part.lost && part.newest == chip) {  // who waits for it goes on waiting
        part.newest = -1;
        part.coming = false;
        continue;
      }
      auto waited = give_up(part, chip);
      if (part.put_away_by == chip) {
        part.put_away_by = -1;
        if (part.newest < 0 && !part.coming) join(waited, std::exchange(part.waiting, {}));
      }
      if (part.newest == chip) {
        part.newest = -1;
        if (buffer) {
          const auto why = lost_bytes(*buffer, part, chip).caused_by(reason);
          if (!gone) gone = why;
          told_lost.emplace_back(std::exchange(waited, {}), why);
        }
      }
      join(told, std::move(waited));
      if (unseen) part.written_since = true;
    }
    erase_parts(known, [](const Part& part) {
      return part.newest < 0 && !part.lost && !part.moves() && part.written_since && part.copies.empty();
    });
    if (gone) buffer->lose_if_kept_by(self_.get(), *gone);
  }
  for (const auto& [waited, why] : told_lost) tell(waited, why);
  tell(told, std::nullopt);
  end_remakes_lost(reason);
}

void Directory::forget(std::uint64_t buffer) {
  const auto known = entries_.find(buffer);
  if (known == entries_.end()) return;
  auto gone = std::move(known->second);
  entries_.erase(known);
  auto waited = std::move(gone.waiting);
  for (auto& part : gone.parts) {
    drop_all(part, buffer);
    join(waited, std::move(part.waiting));
  }
  tell(waited, std::nullopt);
}

void Directory::end() {
  for (auto& [number, known] : std::exchange(entries_, {})) {
    const auto buffer = known.buffer.lock();
    if (!buffer) continue;
    if (buffer->known_to(number_) != nullptr) (void)buffer->set_known(number_, nullptr);
    const auto part = std::find_if(known.parts.begin(), known.parts.end(),
                                   [](const Part& it) { return it.newest >= 0 || it.lost; });
    if (part != known.parts.end())
      buffer->lose_if_kept_by(self_.get(), lost_bytes(*buffer, *part, part->newest));
  }
  orders_.clear();
  rooms_wanted_.clear();
}

}  // namespace troupe::actors
