// What a chip can run: callables on their way to its device, on it, and off it again.
#include <algorithm>
#include <string_view>
#include <utility>

#include "chip/state.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/runtime/limits.hpp"

namespace troupe::actors {
namespace {

/// An object whose constructors run when it is registered.
bool is_foreign(const Callable& callable) { return callable.module == nullptr && !callable.bytes.empty(); }

bool is_chip_program(const Callable& callable) {
  return callable.descriptor != nullptr && callable.descriptor->kind == TROUPE_CALLABLE_CHIP_PROGRAM;
}

/// An orchestration of another system: it names kernels by numbers, also those that its node knows as "7".
bool may_name_others(const Callable& callable) {
  constexpr std::string_view sign = "framework_bind_runtime";
  const auto& bytes = callable.bytes;
  return std::search(bytes.begin(), bytes.end(), sign.begin(), sign.end()) != bytes.end();
}

/// "step@3": an object of a submit's own is never in the way of what the node calls "step".
std::string own_name(const std::string& name, std::uint64_t number) {
  const auto mark = "@" + std::to_string(number);
  return name.substr(0, runtime::limits::callable_name - mark.size()) + mark;
}

}  // namespace

CallableKey ChipState::key_of(const Callable& callable, const CallableRef& owner) {
  return {callable.digest(), is_foreign(callable) && owner != nullptr};
}

Result<std::uint64_t> ChipState::callable_id(const Callable& callable, const CallableRef& owner) {
  if (callable.kind != CallableKind::chip) {
    return Error(Errc::bad_argument, "\"" + callable.name + "\" is not a kernel or chip program",
                 "host functions go to submit_sub, programs to a level above");
  }
  const auto key = key_of(callable, owner);
  if (auto known = callables_.find(key); known != callables_.end()) {
    // Whoever made the one that was linked in may have gone; this one is the same.
    if (key.own) known->second.owner = owner;
    return known->second.id;
  }
  if (auto link = links_.find(key); link != links_.end()) return *link->second.failed;
  return register_at_once(callable);
}

Result<std::uint64_t> ChipState::register_at_once(const Callable& callable) {
  auto id = callable.module != nullptr ? context().register_callable(callable.name, *callable.module)
                                       : register_object(context(), callable.name, {}, callable.core_kind);
  if (id) add_callable({callable.digest(), false}, *id, {});
  return id;
}

/// Whenever one comes, those of submits that nobody holds any more go.
void ChipState::add_callable(const CallableKey& key, std::uint64_t id, std::weak_ptr<const Callable> owner) {
  std::erase_if(callables_, [this](const auto& known) {
    if (!known.first.own || !known.second.owner.expired()) return false;
    to_unlink_.push_back(known.second.id);
    return true;
  });
  callables_.emplace(key, Registered{id, std::move(owner)});
}

/// Orders what the task needs and the device does not have yet. True: the task, and what is queued behind it,
/// waits for that.
bool ChipState::order_links(const Callable& callable, const CallableRef& owner) {
  if (callable.kind != CallableKind::chip) return false;
  if (is_chip_program(callable)) return !learn_all();
  if (!is_foreign(callable)) return false;
  const auto key = key_of(callable, owner);
  const auto [naming, is_new] = naming_.try_emplace(key, false);
  if (is_new) naming->second = may_name_others(callable);
  const bool waits = naming->second && !learn_all();
  if (callables_.contains(key)) return waits;
  return !links_.try_emplace(key, Link{&callable, owner, {}}).first->second.failed;
}

/// A chip program may name whatever its node knows: orders what is new of that. True: all of it is on the
/// device, or cannot come there.
bool ChipState::learn_all() {
  if (!node_) return true;
  if (learned_ < node_->on_chips()) {
    for (const auto* callable : node_->on_chips_from(learned_)) {
      ++learned_;
      const CallableKey key{callable->digest(), false};
      if (callables_.contains(key)) continue;
      if (is_foreign(*callable)) {
        links_.try_emplace(key, Link{callable, {}, {}});
      } else {
        // What the device does not take is an error of the task that names it.
        if (const auto id = register_at_once(*callable); !id && lost_by(id.error())) return true;
      }
    }
  }
  return std::all_of(links_.begin(), links_.end(),
                     [](const auto& link) { return link.first.own || link.second.failed; });
}

std::optional<ChipState::LinkOrder> ChipState::to_link() {
  for (auto& [key, link] : links_) {
    const auto* callable = std::exchange(link.callable, nullptr);
    if (callable == nullptr) continue;
    return LinkOrder{key, key.own ? own_name(callable->name, ++own_linked_) : callable->name, callable};
  }
  return std::nullopt;
}

void ChipState::linked(const ObjectLinked& news, std::vector<TaskResult>& out) {
  if (life_ != Life::ready || news.incarnation != identity_.incarnation) return;
  const auto link = links_.find(news.callable);
  if (link == links_.end()) return;
  if (news.id) {
    add_callable(news.callable, *news.id, link->second.owner);
    links_.erase(link);
    return launch_queued(out);
  }
  if (lost_by(news.id.error())) return;
  // Those that wait for it fail with this; who comes later may try again.
  link->second.failed = news.id.error();
  launch_queued(out);
  links_.erase(news.callable);
}

}  // namespace troupe::actors
