// The directory: bytes on their way home, and what ends.
#include <algorithm>

#include "data/directory.hpp"
#include "troupe/actors/errc.hpp"

namespace troupe::actors {

void Directory::tell(Entry& entry, const std::optional<Error>& error) {
  for (const auto& then : std::exchange(entry.waiting, {})) {
    if (then) then(error);
  }
}

void Directory::bring_home(const std::shared_ptr<Buffer>& buffer, Then then, Wanted wanted) {
  auto* known = find(buffer->number());
  if (known != nullptr && !known->coming) known = &entry(*buffer);  // as it is now
  const bool here = known != nullptr && (known->newest >= 0 || known->coming);
  const bool good = wanted == Wanted::what_ended && known != nullptr && !known->coming &&
                    known->newest >= 0 && home_is_good(*known);
  if (good || (!here && !is_far(*buffer))) {
    if (then) then(buffer->is_lost() ? std::optional<Error>(buffer->loss()) : std::nullopt);
    return;
  }
  if (known == nullptr) known = &entry(*buffer);
  known->waiting.push_back(std::move(then));
  if (std::exchange(known->coming, true)) return;
  known->written_since = false;
  known->from = known->newest;
  if (known->newest >= 0) {
    orders(known->newest).stores.push_back(buffer);
  } else {
    fetches_.push_back(buffer);
  }
}

void Directory::stored(std::int32_t chip, std::uint64_t buffer, const std::optional<Error>& error) {
  auto* known = find(buffer);
  if (known == nullptr) return;
  const bool asked = known->coming && known->from == chip;
  if (asked) known->coming = false;
  // Without being asked it stores what it has no room for; tasks behind that may be about to write it.
  const bool all = asked ? !known->written_since : !unfinished_ || !unfinished_(chip, known->last);
  if (!error && all && known->newest == chip) {
    known->newest = -1;
    if (const auto there = known->buffer.lock()) there->came_home(self_.get());
  }
  if (!asked) return;
  note(*known, buffer, error);
  tell(*known, error);
}

std::vector<Directory::Then> Directory::give_up(Entry& entry, std::int32_t chip) {
  if (!entry.coming || entry.from != chip) return {};
  entry.coming = false;
  return std::exchange(entry.waiting, {});
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
  if (known == nullptr || !known->coming || known->from >= 0) return;
  known->coming = false;
  note(*known, buffer, error);
  tell(*known, error);
}

void Directory::store_all(std::int32_t chip, std::function<void()> then) {
  std::vector<std::shared_ptr<Buffer>> only_there;
  for (const auto& [number, known] : entries_) {
    if (known.newest != chip) continue;
    if (auto buffer = known.buffer.lock()) only_there.push_back(std::move(buffer));
  }
  if (only_there.empty()) return then();
  const auto open = std::make_shared<std::size_t>(only_there.size());
  for (const auto& buffer : only_there) {
    bring_home(buffer, [open, then](const std::optional<Error>&) {
      if (--*open == 0) then();
    });
  }
  orders(chip).at_once = true;
}

// --- ends ----------------------------------------------------------------------------------------

void Directory::withdrawn(std::int32_t chip, std::span<const Ticket> tasks) {
  const auto among = [&](Ticket ticket) { return std::binary_search(tasks.begin(), tasks.end(), ticket); };
  std::vector<Then> waited;
  for (auto& [number, known] : entries_) {
    if (known.newest != chip || !among(known.since)) continue;
    if (!among(known.last)) {
      // Others come after it, of which the last is known.
      known.since = known.last;
      known.home_before = false;
      continue;
    }
    known.newest = -1;
    for (auto& then : give_up(known, chip)) waited.push_back(std::move(then));
    const auto buffer = known.buffer.lock();
    if (!buffer) continue;
    drop_all(known, number);
    if (known.home_before) {
      buffer->came_home(self_.get());
    } else {
      buffer->lose_if_kept_by(self_.get(),
                              Error(Errc::data_lost,
                                    "a tensor has no valid bytes: the task that was to write all of "
                                    "it did not run",
                                    "write all of it again: a task with out(x), or x.overwrite<T>()"));
    }
  }
  for (const auto& then : waited) {
    if (then) then(std::nullopt);
  }
}

void Directory::lost(std::int32_t chip, std::span<const Ticket> tasks) {
  std::vector<Then> waited;
  for (auto& [number, known] : entries_) {
    if (known.newest != chip || !known.home_before ||
        !std::binary_search(tasks.begin(), tasks.end(), known.since))
      continue;
    known.newest = -1;
    std::erase(known.copies, chip);
    for (auto& then : give_up(known, chip)) waited.push_back(std::move(then));
    if (const auto buffer = known.buffer.lock()) buffer->came_home(self_.get());
  }
  for (const auto& then : waited) {
    if (then) then(std::nullopt);
  }
}

void Directory::down(std::int32_t chip, const Error& reason) {
  std::erase_if(orders_, [chip](const auto& order) { return order.first == chip; });
  const Error lost = Error(Errc::data_lost, "the newest bytes of a tensor were only on a chip that is gone")
                         .caused_by(reason);
  std::vector<std::pair<Then, bool>> waited;  // and whether the bytes are gone
  for (auto& [number, known] : entries_) {
    std::erase(known.copies, chip);
    const bool gone = known.newest == chip;
    for (auto& then : give_up(known, chip)) waited.emplace_back(std::move(then), gone);
    if (!gone) continue;
    known.newest = -1;
    if (const auto buffer = known.buffer.lock()) buffer->lose_if_kept_by(self_.get(), lost);
  }
  for (const auto& [then, gone] : waited) {
    if (then) then(gone ? std::optional<Error>(lost) : std::nullopt);
  }
}

void Directory::forget(std::uint64_t buffer) {
  const auto known = entries_.find(buffer);
  if (known == entries_.end()) return;
  auto gone = std::move(known->second);
  entries_.erase(known);
  drop_all(gone, buffer);
  tell(gone, std::nullopt);
}

void Directory::end(const Error& reason) {
  for (auto& [number, known] : std::exchange(entries_, {})) {
    if (const auto buffer = known.buffer.lock(); buffer && known.newest >= 0) {
      buffer->lose_if_kept_by(self_.get(), reason);
    }
  }
  orders_.clear();
}

}  // namespace troupe::actors
