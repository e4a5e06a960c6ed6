#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "driver/driver.hpp"
#include "troupe/platform/errc.hpp"
#include "troupe/runtime/device_block.h"

namespace troupe::test {

/// A device that is a list of what it was given: in each queue one thing after the other, nothing before it
/// was flushed, nothing before what it comes after. It does what can be done whenever somebody looks. Its
/// kernels are functions of the test. Any thread.
class FakeDevice {
 public:
  /// Does its work and answers true, or false: not ended yet; it is called again.
  using Kernel = std::function<bool(troupe_device_block& block, std::uint32_t blocks)>;

  FakeDevice();
  void add(const std::string& name, Kernel kernel);
  /// Kernels "gate" end once it is open, or when their run is to end; "stuck" only when it is open.
  void open_gate();
  /// The call number `call`, from 1 on, fails, and with Errc::lost all that come after; 0: none.
  /// Answers how many calls there were before.
  std::uint64_t fail_call(std::uint64_t call, platform::Errc code);
  /// The next call of that name fails.
  void fail_next(const std::string& name, platform::Errc code);
  /// One that has no graphs.
  void without_graphs() { graphs_are_there_ = false; }
  bool has_graphs() const { return graphs_are_there_; }
  std::size_t graphs() const;
  /// Kernels that were entered, by their names, in order.
  std::vector<std::string> entered() const;
  /// What was taken and not given back: "2 allocations, 1 event"; empty: nothing.
  std::string left() const;
  /// Something that must never happen did: how the engine used the driver.
  std::string complaint() const;

 private:
  friend class FakeDriver;
  struct Node {
    std::function<bool()> begin;
    std::vector<std::uint32_t> after;
  };
  struct Work {
    std::function<bool()> begin;  ///< true: it has ended
    std::vector<std::uint64_t> after;
    std::uint64_t event = 0;
    bool flushed = false;
  };
  struct End {
    bool ended = false, released = false;
  };
  Result<void> count_call(const char* name);  // with the mutex held
  void advance();
  bool is_over(std::uint64_t event) const;
  bool enter(const std::string& name, bool guarded, troupe_device_block& block, std::uint32_t blocks);
  void complain(const std::string& what);

  mutable std::mutex mutex_;
  std::map<std::string, Kernel> kernels_;
  std::map<std::uint64_t, std::deque<Work>> queues_;
  std::map<std::uint64_t, End> events_;
  std::map<std::uint64_t, std::size_t> memory_;
  std::map<std::uint64_t, std::set<std::string>> programs_;
  std::map<std::uint64_t, std::string> functions_;
  std::map<std::uint64_t, std::vector<Node>> graphs_;
  std::vector<std::string> entered_;
  std::string complaint_, failing_name_;
  std::uint64_t next_ = 1, calls_ = 0, failing_ = 0;
  platform::Errc failure_{};
  bool open_ = false, dead_ = false, graphs_are_there_ = true;
};

/// The device that the next context opens; set by the test.
FakeDevice*& fake_device();

}  // namespace troupe::test
