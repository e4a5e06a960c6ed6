#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "troupe/platform/crash_report.hpp"
#include "troupe/platform/device_api.hpp"
#include "troupe/platform/host_threads.hpp"
#include "troupe/runtime/module.hpp"
#include "wire/wire.hpp"

namespace troupe::platform::isolation {

/// The process of one chip: makes, on the real library, the calls that come over the link, and says what the
/// library says. Calls that may take long are made on threads of their own.
class Process final : Link::Receiver {
 public:
  explicit Process(comm::FileDescriptor socket);
  /// Until the other side has gone, or has ended the context.
  void serve();

 private:
  struct Piece {
    std::byte* base = nullptr;
    std::uint64_t bytes = 0;
    std::shared_ptr<SharedPages> pages;
  };
  /// Pointers of the library's, under numbers for the other end, which may say any. Null is 0. Thread-safe.
  class Handles {
   public:
    static constexpr std::size_t most = 4096;
    std::uint64_t keep(void* pointer);
    /// None: there is no such one.
    std::optional<void*> find(std::uint64_t number) const;
    void forget(std::uint64_t number);
    bool is_full() const;

   private:
    mutable std::mutex mutex_;
    std::uint64_t last_ = 0;
    std::map<std::uint64_t, void*> pointers_;
  };
  struct Call {
    Kind kind{};
    std::uint64_t number = 0;
    std::vector<std::byte> payload;
    std::vector<comm::FileDescriptor> descriptors;
  };

  Result<void> frame(Frame& frame) override;
  /// A kernel may close what is not its own.
  bool may_lose_stream() const override { return true; }
  void caught_up() override {
    if (link_.is_down()) link_.shut();
  }
  void apart(Call call);
  void make(Call& call);
  Writer answer(Call& call, std::vector<comm::FileDescriptor>& descriptors);

  Writer set_up(Reader& reader, Call& call);
  Writer coded(std::int32_t code);
  template <class Value>
  Writer coded(std::int32_t code, const Value& value) {
    auto told = coded(code);
    if (code == 0) told.put(value);
    return told;
  }
  Writer misread() const { return answer_of(TROUPE_DEVICE_INTERNAL, "a call that cannot be read"); }
  Writer lacks(const char* symbol) const;

  Result<void> launch(Reader& reader);
  Result<void> share(Reader& reader, Frame& frame);
  std::byte* locate(std::uint32_t piece, std::uint64_t offset, std::uint64_t bytes);
  RunBatch::Locate locator();
  Writer copy(Reader& reader, bool to_device);
  Writer add_callable(Reader& reader, Call& call);
  Result<const troupe_module_v1*> module_of(const std::string& file, const std::string& name,
                                            const std::string& build);
  Writer add_graph(Reader& reader);
  void launch_taken(std::span<const troupe_run> runs, bool is_graph, std::uint64_t settled);
  std::int32_t launch_some(std::span<const troupe_run> runs, bool is_graph, std::uint64_t settled);
  std::uint64_t failure_behind(const troupe_run& run) const;
  troupe_completion end_of(const troupe_run& run, std::int32_t code, std::uint64_t caused_by);
  Writer run(Reader& reader);
  Writer properties();
  Writer status();
  Writer create_window(Reader& reader, std::vector<comm::FileDescriptor>& descriptors);
  Writer import_window(Reader& reader, Call& call);
  Writer session_call(Kind kind, Reader& reader);
  Writer destroy();

  void let_exit_pass();
  void fill_host(const SetUp& facts);
  void send_ends(std::span<const troupe_completion> ends);
  void send_trace(const troupe_trace_event* events, std::size_t count);
  void send_dump(const troupe_dump_record& record);

  Link link_;
  HostThreads threads_;
  DeviceApi api_;
  troupe_host host_{};
  std::atomic<troupe_device_context*> context_{nullptr};  ///< null: not yet, or no more
  std::string where_;
  std::optional<SharedPages> page_memory_;
  Page* page_ = nullptr;
  std::optional<CrashReport> crash_report_;
  std::string said_;  ///< the latest error that was logged
  /// Runs that the library never had, so that it would take them for runs that have ended well; with what
  /// failed first. Of the thread that serves.
  std::map<std::uint64_t, std::uint64_t> refused_;

  std::mutex mutex_;
  std::map<std::uint32_t, Piece> pieces_;
  std::map<std::string, runtime::Module> modules_;
  std::vector<std::byte> graph_;  ///< what has come of a description
  Handles streams_, sessions_;
};

}  // namespace troupe::platform::isolation
