#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "threads/threads.hpp"
#include "troupe/platform/device_abi.h"
#include "troupe/runtime/module_abi.h"
#include "troupe/runtime/result.hpp"
#include "troupe/runtime/task_args.hpp"
#include "troupe/runtime/waiting_kernel.hpp"

namespace troupe::platform::common {

/// Code in the form in which a platform runs it.
class LoadedCode {
 public:
  virtual ~LoadedCode() = default;
  /// Whether it builds a graph on the chip; else it is one kernel.
  virtual bool is_program() const noexcept { return false; }
  /// Of a graph: whether some kernel of it may wait in a way that nobody sees.
  virtual bool may_wait() const noexcept { return true; }
};
/// Makes code of bytes that came under a name; the error names it.
using LoadCode = std::function<Result<std::unique_ptr<LoadedCode>>(std::string_view name,
                                                                   std::span<const std::byte> bytes)>;
/// The same of a kernel or chip program of a module, for platforms that cannot call it as the function that
/// it is.
using LoadFromModule = std::function<Result<std::unique_ptr<LoadedCode>>(const troupe_module_v1& module,
                                                                         const troupe_callable_v1& callable)>;

/// Something a run or a chip program can name. Immutable once registered; shared by the runs that use it, so
/// foreign code is unloaded when it is unregistered and its last run has ended.
struct RegisteredCallable {
  std::uint64_t id = 0;
  std::string name;
  const troupe_callable_v1* descriptor = nullptr;  ///< of a module; null for foreign bytes
  const troupe_module_v1* module = nullptr;
  std::unique_ptr<LoadedCode> foreign;  ///< of bytes
  std::unique_ptr<LoadedCode> image;    ///< of a module, where the platform loads that
  std::unique_ptr<LoadedCode> graph;    ///< of a graph of kernels, which are kept by it
  std::uint32_t core_kind = TROUPE_CORE_AIV;
  std::vector<std::uint8_t> signature;  ///< tags and TROUPE_SIGNATURE_SCALAR; empty: not checked

  bool is_program() const noexcept {
    if (foreign != nullptr) return foreign->is_program();
    if (graph != nullptr) return true;
    return descriptor != nullptr && descriptor->kind == TROUPE_CALLABLE_CHIP_PROGRAM;
  }
  /// A kernel that may wait in a way that nobody sees: foreign code, and what says so of itself.
  bool may_wait() const noexcept {
    if (graph != nullptr) return graph->may_wait();
    return foreign != nullptr || (!is_program() && descriptor->variant == TROUPE_KERNEL_WAITS);
  }
};

/// What is registered on one chip. Safe from any thread.
class CallableTable {
 public:
  /// `host`, of code that is linked into this process: learns what is being loaded and unloaded, should that
  /// crash. It outlives the callables.
  explicit CallableTable(LoadCode load, LoadFromModule load_from_module = nullptr,
                         const HostServices* host = nullptr)
      : load_(std::move(load)), load_from_module_(std::move(load_from_module)), host_(host) {}

  Result<std::uint64_t> add(const troupe_callable& callable);
  /// A graph; its name is for people, and names nothing.
  std::uint64_t add_graph(std::string name, std::unique_ptr<LoadedCode> graph);
  Result<void> remove(std::uint64_t id);
  Result<void> remove_graph(std::uint64_t id);
  Result<std::shared_ptr<const RegisteredCallable>> find(std::uint64_t id) const;
  /// Null when there is none.
  std::shared_ptr<const RegisteredCallable> find(std::string_view name) const;
  std::shared_ptr<const RegisteredCallable> find_graph(std::uint64_t id) const;
  /// Without graphs.
  std::size_t size() const;

 private:
  const LoadCode load_;
  const LoadFromModule load_from_module_;
  const HostServices* const host_;
  mutable std::mutex mutex_;
  std::unordered_map<std::uint64_t, std::shared_ptr<const RegisteredCallable>> by_id_;
  std::unordered_map<std::uint64_t, std::shared_ptr<const RegisteredCallable>> graphs_;
  std::map<std::string, std::uint64_t, std::less<>> by_name_;
  std::uint64_t next_ = 1;
};

/// How the arguments of a call differ from a registered signature; empty: they fit. A tensor may be passed as
/// more than is needed (inout for what is only read or only written), never as less.
std::string signature_defect(const std::vector<std::uint8_t>& signature, std::span<const runtime::Tag> tags,
                             std::size_t scalars);

/// The kernel of that name in a module, or null.
const troupe_callable_v1* find_kernel(const troupe_module_v1& module, std::string_view name) noexcept;

}  // namespace troupe::platform::common
