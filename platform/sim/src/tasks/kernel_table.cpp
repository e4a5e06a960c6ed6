#include "tasks/kernel_table.hpp"

#include <string>
#include <utility>

#include "troupe/runtime/module.hpp"

namespace troupe::platform::sim {

KernelTable::KernelTable(const CallableTable& callables) : callables_(callables) {
  auto& built_in = entries_[nullptr];
  built_in = std::make_unique<KernelEntry>();
  built_in->name = "element store";
  built_in->code.name = built_in->name.c_str();
  built_in->never_waits = true;
  element_store_ = built_in.get();
  dummy_.name = "dummy";
  dummy_.code.name = dummy_.name.c_str();
}

void KernelTable::begin(const troupe_module_v1* module) noexcept {
  names_.fill({});
  module_ = module;
}

void KernelTable::name(const RegisteredCallable& callable) {
  const std::string& called = callable.name;
  cached_at(called.data()) = {.size = called.size(), .entry = entry_of(callable)};
}

KernelEntry* KernelTable::entry_of(const RegisteredCallable& callable) {
  const void* key = callable.descriptor != nullptr ? static_cast<const void*>(callable.descriptor)
                                                   : static_cast<const void*>(callable.foreign.get());
  auto& entry = entries_[key];
  // Foreign code that was unregistered may have left its place to another one: numbers do not come again.
  if (entry == nullptr || (callable.foreign != nullptr && entry->callable != callable.id)) {
    entry = std::make_unique<KernelEntry>();
    entry->callable = callable.id;
    entry->name = callable.name;
    entry->signature = callable.signature;
    entry->code = {
        .descriptor = callable.descriptor, .foreign = callable.foreign.get(), .name = entry->name.c_str()};
    entry->waits.store(callable.may_wait(), std::memory_order_relaxed);
    entry->never_waits = !callable.may_wait() && !runtime::has_waits(*callable.module);
  }
  if (entry->signature != callable.signature) entry->signature = callable.signature;
  return entry.get();
}

KernelEntry* KernelTable::look_up(const char* name, std::size_t size) {
  const std::string wanted(name, size);
  KernelEntry* entry = nullptr;
  if (const auto* found = module_ != nullptr ? find_kernel(*module_, wanted) : nullptr) {
    auto& known = entries_[found];
    if (known == nullptr) {
      known = std::make_unique<KernelEntry>();
      known->name = wanted;
      known->code = {.descriptor = found, .foreign = nullptr, .name = known->name.c_str()};
      known->waits.store(found->variant == TROUPE_KERNEL_WAITS, std::memory_order_relaxed);
      known->never_waits = found->variant != TROUPE_KERNEL_WAITS && !runtime::has_waits(*module_);
    }
    entry = known.get();
  } else if (auto registered = callables_.find(wanted); registered != nullptr && !registered->is_program()) {
    entry = entry_of(*registered);
    kept_.push_back(std::move(registered));
  }
  if (entry != nullptr) cached_at(name) = {.size = size, .entry = entry};
  return entry;
}

}  // namespace troupe::platform::sim
