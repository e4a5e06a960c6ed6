#include "worker/children.hpp"

#include <algorithm>
#include <utility>

#include "troupe/actors/errc.hpp"

namespace troupe::actors {

std::int32_t Children::add(const ExecutorConfig& config) {
  const auto index = size();
  Child made;
  made.config = config;
  if (const auto* chip = std::get_if<ChipConfig>(&config)) {
    made.kind = ExecutorKind::chip;
    made.name = "chip" + std::to_string(index);
    made.credit = static_cast<std::uint32_t>(chip->credit);
  } else if (std::holds_alternative<SubWorkerConfig>(config)) {
    made.kind = ExecutorKind::sub_worker;
    made.name = "sub" + std::to_string(sub_workers_++);
    made.credit = 64;
  } else {
    const auto& below = *std::get<std::shared_ptr<const WorkerConfig>>(config);
    made.kind = ExecutorKind::worker;
    made.name = below.name;
    made.credit = static_cast<std::uint32_t>(below.max_runs);
  }
  children_.push_back(std::move(made));
  return index;
}

void Children::spawned(std::int32_t index, Executor handle, Chip chip, Worker worker) {
  auto& it = at(index);
  it.handle = std::move(handle);
  it.chip = std::move(chip);
  it.worker = std::move(worker);
}

std::optional<std::int32_t> Children::find(const caf::actor_addr& who) const {
  const auto found = std::find_if(begin(), end(), [&](const Child& it) {
    return it.handle && it.handle.address() == who && it.state != ExecutorState::retired;
  });
  if (found == end()) return std::nullopt;
  return static_cast<std::int32_t>(found - begin());
}

Result<ChipAccess> Children::chip(std::int32_t index) const {
  if (!knows(index) || (*this)[index].kind != ExecutorKind::chip)
    return Error(Errc::no_such_chip, node_ + " has no chip number " + std::to_string(index));
  const auto& it = (*this)[index];
  if (it.state != ExecutorState::up)
    return Error(Errc::chip_lost, it.name + " is " + std::string(name_of(it.state)));
  return ChipAccess{it.chip, it.incarnation};
}

bool Children::is_starting(std::int32_t index, std::uint32_t life) const {
  const auto& it = (*this)[index];
  return it.incarnation == life && it.state == ExecutorState::starting;
}

bool Children::all_up() const {
  return std::all_of(begin(), end(), [](const Child& it) { return it.state == ExecutorState::up; });
}

void Children::up(std::int32_t index, std::uint32_t credit) {
  auto& it = at(index);
  it.state = ExecutorState::up;
  it.credit = credit;
  it.missing_since.reset();
  it.tries = 0;
  it.speaks = false;
}

std::uint32_t Children::reset(std::int32_t index) {
  starting(index);
  return ++at(index).incarnation;
}

void Children::lost(std::int32_t index, const Error& reason) {
  auto& it = at(index);
  it.died = reason;
  it.state = ExecutorState::lost;
  // It has no devices: nothing of it is left, and it has no last word.
  if (it.kind == ExecutorKind::sub_worker) it.gone = true;
}

bool Children::note_last_word(std::int32_t index, caf::actor_id whose) {
  auto& it = at(index);
  // Incarnations are not compared: a chip that dies during a reset has the number of its next life already.
  if (whose == 0 || !it.handle || it.handle.id() != whose) return false;
  it.gone = true;
  return true;
}

std::optional<Children::Fate> Children::bury(std::int32_t index, Time now) {
  auto& it = at(index);
  auto fate = decide(it, now);
  if (fate && !speaks(it)) fate->told = true;
  return fate;
}

/// The chips of another machine are lost together: one of them says so, until it is back.
bool Children::speaks(Child& it) {
  const auto machine_of = [](const Child& one) -> const platform::RemoteNode* {
    const auto* const chip = std::get_if<ChipConfig>(&one.config);
    return chip != nullptr && chip->remote ? &chip->remote->node : nullptr;
  };
  const auto* const machine = machine_of(it);
  if (machine == nullptr || it.speaks) return true;
  for (const auto& other : children_) {
    const auto* const its = other.speaks ? machine_of(other) : nullptr;
    if (its != nullptr && its->address == machine->address) return false;
  }
  it.speaks = true;
  return true;
}

std::optional<Children::Fate> Children::decide(Child& it, Time now) const {
  if (!it.died || !it.gone) return std::nullopt;
  Fate fate{*std::exchange(it.died, std::nullopt), std::nullopt};
  if (it.removing) {
    fate.out_of_use = fate.died;
    return fate;
  }
  if (const auto waits = std::exchange(it.did_not_come, false) ? wait_for(it, fate, now) : std::nullopt)
    return waits;
  it.restarts.push_back(now);
  while (!it.restarts.empty() && now - it.restarts.front() > limit_.within) it.restarts.pop_front();
  if (std::cmp_greater(it.restarts.size(), limit_.restarts)) {
    fate.out_of_use = Error(Errc::chip_retired, it.name + " died " + std::to_string(it.restarts.size()) +
                                                    " times in a short while and is out of use")
                          .caused_by(fate.died);
    return fate;
  }
  ++it.incarnation;
  it.handle = nullptr;
  it.gone = false;
  return fate;
}

/// A chip of another machine that cannot be reached is no chip that dies over and over: it is tried again,
/// more and more seldom.
std::optional<Children::Fate> Children::wait_for(Child& it, Fate fate, Time now) const {
  constexpr std::chrono::milliseconds first(100), longest(2000);
  const auto* const chip = std::get_if<ChipConfig>(&it.config);
  if (chip == nullptr || !chip->remote) return std::nullopt;
  if (!it.missing_since) it.missing_since = now;
  if (now - *it.missing_since >= chip->rejoin) {
    fate.out_of_use =
        Error(Errc::chip_retired,
              it.name + " of " + chip->remote->node.address + " could not be reached for " +
                  std::to_string(std::chrono::ceil<std::chrono::seconds>(chip->rejoin).count()) +
                  " s and is out of use")
            .caused_by(fate.died);
    return fate;
  }
  fate.told = it.tries != 0;
  fate.after = std::min<std::chrono::nanoseconds>(longest, first * (1U << std::min(it.tries, 8U)));
  ++it.tries;
  ++it.incarnation;
  it.handle = nullptr;
  it.gone = false;
  return fate;
}

Result<bool> Children::remove(std::int32_t index) {
  if (!knows(index) || (*this)[index].state == ExecutorState::retired || (*this)[index].removing)
    return Error(Errc::no_such_chip, "there is no executor number " + std::to_string(index));
  at(index).removing = true;
  return true;
}

bool Children::is_leaving(std::int32_t index) const {
  return (*this)[index].removing && (*this)[index].state != ExecutorState::retired;
}

void Children::retire(std::int32_t index) {
  at(index).state = ExecutorState::retired;
  spawned(index, {});
}

bool Children::was_last(std::int32_t index) const {
  const auto& it = (*this)[index];
  if (it.kind == ExecutorKind::sub_worker || it.removing) return false;
  return std::none_of(begin(), end(), [&](const Child& other) {
    return other.kind == it.kind && other.state != ExecutorState::retired;
  });
}

std::shared_ptr<const std::vector<std::string>> Children::names() const {
  if (!names_ || names_->size() != children_.size()) {
    auto names = std::make_shared<std::vector<std::string>>();
    for (const auto& it : children_) names->push_back(it.name);
    names_ = std::move(names);
  }
  return names_;
}

std::int32_t Children::only_chip() const {
  std::int32_t only = -1;
  for (std::int32_t index = 0, chips = 0; index < size() && chips < 2; ++index) {
    const auto& it = (*this)[index];
    if (it.kind == ExecutorKind::sub_worker || it.state == ExecutorState::retired) continue;
    only = ++chips == 1 ? index : -1;
  }
  return only;
}

std::string Children::counted() const {
  std::string text;
  const auto count = [&](ExecutorKind kind, const char* what) {
    const auto n = std::count_if(begin(), end(), [&](const Child& it) { return it.kind == kind; });
    if (n == 0) return;
    text += (text.empty() ? " with " : ", ") + std::to_string(n) + " " + what + (n == 1 ? "" : "s");
  };
  count(ExecutorKind::chip, "chip");
  count(ExecutorKind::worker, "node");
  count(ExecutorKind::sub_worker, "sub-worker");
  return text;
}

Error Children::not_started(std::int32_t index, const Error& error) const {
  std::string pending;
  const auto& failed = (*this)[index];
  for (const auto& it : children_) {
    if (it.state == ExecutorState::starting && it.kind != ExecutorKind::sub_worker && &it != &failed)
      pending += (pending.empty() ? "" : ", ") + it.name;
  }
  const auto what = failed.kind == ExecutorKind::chip ? "chip " + std::to_string(index) : failed.name;
  Error all(Errc::bootstrap_failed, what + " bootstrap failed: " + error.message(),
            pending.empty() ? error.hint() : "still pending: " + pending);
  return all.caused_by(error).inside(node_);
}

}  // namespace troupe::actors
