#include "data/directory.hpp"

#include <algorithm>

#include "tasks.hpp"
#include "troupe/actors/errc.hpp"

namespace troupe::actors {
namespace {

/// What is smaller is quickly brought anywhere.
constexpr std::uint64_t worth_staying = 64ULL << 10U;

bool is_whole(const Operand& operand) {
  return operand.tensor.bytes() == operand.buffer->bytes() && operand.tensor.is_contiguous();
}
bool has(const std::vector<std::int32_t>& chips, std::int32_t chip) {
  return std::find(chips.begin(), chips.end(), chip) != chips.end();
}

}  // namespace

void Directory::add(ExecutorKind kind) {
  executors_.push_back(kind);
  if (kind == ExecutorKind::chip) ++chips_;
}

Directory::Entry* Directory::find(std::uint64_t buffer) {
  const auto known = entries_.find(buffer);
  return known == entries_.end() ? nullptr : &known->second;
}
const Directory::Entry* Directory::find(std::uint64_t buffer) const {
  return const_cast<Directory*>(this)->find(buffer);
}

DataOrders& Directory::orders(std::int32_t chip) {
  for (auto& [of, list] : orders_) {
    if (of == chip) return list;
  }
  return orders_.emplace_back(chip, DataOrders{}).second;
}

std::vector<std::pair<std::int32_t, DataOrders>> Directory::take_orders() {
  return std::exchange(orders_, {});
}

bool Directory::is_far(const Buffer& buffer) const {
  const auto* keeper = buffer.kept_by();
  return keeper != nullptr && keeper != self_.get();
}

void Directory::drop_all(Entry& entry, std::uint64_t buffer, std::int32_t but) {
  bool stays = false;
  for (const auto chip : entry.copies) {
    if (chip == but) {
      stays = true;
    } else {
      drop(chip, buffer);
    }
  }
  entry.copies.clear();
  if (stays) entry.copies.push_back(but);
}

/// What is known of a buffer; copies of an earlier version are dropped here.
Directory::Entry& Directory::entry(Buffer& buffer) {
  auto [known, fresh] = entries_.try_emplace(buffer.number());
  auto& entry = known->second;
  if (fresh) {
    entry.buffer = buffer.weak_from_this();
    entry.version = buffer.version();
    buffer.tell(self_);
  } else if (entry.version != buffer.version()) {
    drop_all(entry, buffer.number());
    entry.newest = -1;
    entry.version = buffer.version();
  }
  return entry;
}

// --- what tasks do -------------------------------------------------------------------------------

/// Host memory has what the last task that ended left: those that were sent to write it since have not ended.
bool Directory::home_is_good(const Entry& known) const {
  return known.newest < 0 || (known.home_before && unfinished_ && unfinished_(known.newest, known.since));
}

std::vector<std::uint32_t> Directory::stay_home(const Arguments& args, std::int32_t chip) const {
  std::vector<std::uint32_t> list;
  const auto* services = self_->services();
  if (chips_ < 2 && (services == nullptr || !services->several_nodes())) return list;
  const auto in_parts = [this, chip](const Operand& operand) {
    if (operand.buffer == nullptr) return false;
    if (!is_whole(operand)) return true;
    if (runtime::writes(operand.tag)) return false;
    const auto* known = find(operand.buffer->number());
    return known != nullptr && known->newest >= 0 && known->newest != chip && home_is_good(*known);
  };
  if (std::none_of(args.tensors.begin(), args.tensors.end(), in_parts)) return list;
  for (std::size_t i = 0; i < args.tensors.size(); ++i) {
    const auto* buffer = args.tensors[i].buffer;
    if (buffer != nullptr && std::any_of(args.tensors.begin(), args.tensors.end(), [&](const Operand& other) {
          return other.buffer == buffer && in_parts(other);
        })) {
      list.push_back(static_cast<std::uint32_t>(i));
    }
  }
  return list;
}

template <class Visit>
void Directory::for_each_buffer(const TaskRequest& request, bool on_chip, Visit visit) {
  const auto& tensors = arguments_of(*request.body, request.key.member).tensors;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    auto* buffer = tensors[i].buffer;
    if (buffer == nullptr) continue;
    bool seen = false;
    for (std::size_t k = 0; k < i && !seen; ++k) seen = tensors[k].buffer == buffer;
    if (seen) continue;
    Use use{buffer, false, false,
            !on_chip || std::binary_search(request.at_home.begin(), request.at_home.end(),
                                           static_cast<std::uint32_t>(i))};
    for (std::size_t k = i; k < tensors.size(); ++k) {
      if (tensors[k].buffer != buffer) continue;
      const bool writes = runtime::writes(tensors[k].tag);
      use.writes = use.writes || writes;
      // Who writes a part leaves the rest as it was.
      use.reads = use.reads || !writes || runtime::reads(tensors[k].tag) || !is_whole(tensors[k]);
    }
    visit(use);
  }
}

Directory::Needs Directory::needs(const TaskRequest& request, std::int32_t executor) const {
  Needs needs;
  const bool on_chip = executors_[static_cast<std::size_t>(executor)] == ExecutorKind::chip;
  for_each_buffer(request, on_chip, [&](const Use& use) {
    auto& buffer = *use.buffer;
    if (buffer.is_lost() && use.reads && !needs.refused) needs.refused = buffer.loss();
    const auto* known = find(buffer.number());
    bool wanted = is_far(buffer);
    if (known != nullptr && known->version == buffer.version()) {
      // What follows its writer in the queue of the chip is not content with what was before it.
      const bool good = home_is_good(*known) && (known->newest != executor || request.depends.empty());
      const bool elsewhere = !good && (use.at_home || known->newest != executor);
      // What is on its way home is not to be written by another meanwhile.
      const bool busy = known->coming && (use.at_home || known->newest != executor);
      wanted = wanted || (use.reads ? elsewhere || busy : busy);
    }
    if (wanted && known != nullptr && known->trouble && !needs.refused) needs.refused = known->trouble;
    if (wanted) needs.home.push_back(buffer.shared_from_this());
    // The device brings its bytes home only when that has ended.
    if (known != nullptr && !use.at_home && use.reads && !request.depends.empty() && known->home_task != 0 &&
        !has(known->copies, executor) && unfinished_ && unfinished_(known->home_chip, known->home_task)) {
      needs.after_others = true;
    }
  });
  return needs;
}

void Directory::dispatch(const TaskRequest& request, std::int32_t executor) {
  const bool on_chip = executors_[static_cast<std::size_t>(executor)] == ExecutorKind::chip;
  const bool evicts = request.body->callable->data_task == DataTask::evict;
  for_each_buffer(request, on_chip, [&](const Use& use) {
    if (use.writes && !use.reads && use.buffer->is_lost()) use.buffer->forgive();
    if (use.at_home) {
      if (use.writes) {
        auto* known = on_chip ? &entry(*use.buffer) : nullptr;
        write_at_home(*use.buffer);
        if (known != nullptr) {
          known->home_chip = executor;
          known->home_task = request.ticket;
        }
      }
      if (auto* known = find(use.buffer->number()); known != nullptr && evicts)
        drop_all(*known, use.buffer->number());
      return;
    }
    auto& known = entry(*use.buffer);
    if (!has(known.copies, executor)) known.copies.push_back(executor);
    if (use.writes) write_on(known, *use.buffer, executor, request.ticket);
  });
}

void Directory::write_on(Entry& known, Buffer& buffer, std::int32_t chip, Ticket ticket) {
  if (known.copies.size() > 1) drop_all(known, buffer.number(), chip);
  known.written_since = true;
  known.last = ticket;
  if (known.newest == chip) return;
  known.home_before = home_is_good(known);
  known.newest = chip;
  known.since = ticket;
  known.version = buffer.claim(self_);
}

void Directory::write_at_home(Buffer& buffer) {
  const auto version = buffer.changed_at_home();
  auto* known = find(buffer.number());
  if (known == nullptr) return;
  drop_all(*known, buffer.number());
  known->newest = -1;
  known->version = version;
}

std::int32_t Directory::nearest(const Arguments& args) const {
  std::int32_t chosen = -1;
  std::uint64_t most = worth_staying - 1;
  for (const auto& operand : args.tensors) {
    if (operand.buffer == nullptr || operand.buffer->bytes() <= most || operand.tag == runtime::Tag::out ||
        operand.tag == runtime::Tag::out_existing) {
      continue;
    }
    const auto* known = find(operand.buffer->number());
    if (known == nullptr || known->newest < 0 || known->version != operand.buffer->version()) continue;
    chosen = known->newest;
    most = operand.buffer->bytes();
  }
  return chosen;
}

bool Directory::has_newest(std::int32_t chip) const {
  return std::any_of(entries_.begin(), entries_.end(), [chip](const auto& known) {
    return known.second.newest == chip && !known.second.buffer.expired();
  });
}

std::int32_t Directory::newest(std::uint64_t buffer) const {
  const auto* known = find(buffer);
  return known == nullptr ? -1 : known->newest;
}

// --- bytes on their way home ---------------------------------------------------------------------

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
