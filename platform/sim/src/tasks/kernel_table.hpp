#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <vector>

#include "code/code.hpp"
#include "common.hpp"
#include "tasks/task_record.hpp"

namespace troupe::platform::sim {

/// The kernels that a chip program names, and what the chip has learnt about each. What was learnt stays for
/// the life of the chip; names are looked up anew in each run. The program's thread alone uses the table;
/// entries stay where they are, and any thread reads them.
class KernelTable {
 public:
  explicit KernelTable(const CallableTable& callables);

  /// Of a run: names mean kernels of `module` (may be null), or registered ones.
  void begin(const troupe_module_v1* module) noexcept;
  /// The run is over: what it used may be unregistered.
  void end() noexcept { kept_.clear(); }

  /// The kernel of that name, or null.
  KernelEntry* find(const char* name, std::size_t size) {
    const CachedName& cached = cached_at(name);
    // The same place may hold another name by now, so the characters decide.
    if (cached.entry != nullptr && cached.size == size &&
        std::memcmp(cached.entry->name.data(), name, size) == 0) {
      return cached.entry;
    }
    return look_up(name, size);
  }
  /// The entry of a callable, which is also what its own name means from now on.
  void name(const RegisteredCallable& callable);
  /// The entry of a kernel that the caller keeps registered while the run lasts.
  KernelEntry* entry_of(const RegisteredCallable& callable);
  /// What a task without a kernel is called, which writes an element.
  KernelEntry& element_store() noexcept { return *element_store_; }
  /// What one is called that does nothing.
  KernelEntry& dummy() noexcept { return dummy_; }

 private:
  struct CachedName {
    std::size_t size = 0;
    KernelEntry* entry = nullptr;
  };
  CachedName& cached_at(const char* name) noexcept {
    return names_[(reinterpret_cast<std::uintptr_t>(name) >> 3) % names_.size()];
  }
  KernelEntry* look_up(const char* name, std::size_t size);

  const CallableTable& callables_;
  std::map<const void*, std::unique_ptr<KernelEntry>> entries_;  ///< by descriptor or foreign code
  KernelEntry* element_store_;
  KernelEntry dummy_;
  const troupe_module_v1* module_ = nullptr;
  std::array<CachedName, 64> names_;  ///< by where the characters of a name lie
  std::vector<std::shared_ptr<const RegisteredCallable>> kept_;
};

}  // namespace troupe::platform::sim
