#pragma once

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "fixture.hpp"
#include "troupe/runtime/digest.hpp"
#include "troupe/runtime/module_abi.h"
#include "wire/wire.hpp"

namespace troupe::test {

using namespace platform::isolation;

/// Somebody who knows the address.
class Guest {
 public:
  explicit Guest(const TestNode& node) : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un where{};
    where.sun_family = AF_UNIX;
    const auto path = node.address().substr(5);
    std::memcpy(where.sun_path, path.c_str(), path.size() + 1);
    REQUIRE(::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0);
  }
  void say(std::span<const std::byte> bytes) const {
    (void)!::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  void say(Kind kind, const Writer& payload, std::uint64_t number = 0) const {
    FrameHeader header;
    header.kind = kind;
    header.number = number;
    header.bytes = static_cast<std::uint32_t>(payload.bytes().size());
    Writer all;
    all.put(header).raw(payload.bytes().data(), payload.bytes().size());
    say(all.bytes());
  }
  /// Asks for a chip; what the node says to that is heard next.
  void claim(std::int32_t chip, std::uint8_t pod = 1, std::uint64_t silence_ms = 20'000) const;
  /// Gets a chip, and brings it up.
  void set_up(std::int32_t chip = 0, std::uint8_t pod = 1);

  struct Heard {
    Kind kind{};
    std::uint64_t number = 0;
    std::vector<std::byte> payload;
  };
  /// The next frame, of that kind or of any; none: the node has closed. Signs of life are none.
  std::optional<Heard> hear(std::optional<Kind> kind = {}) const {
    for (;;) {
      FrameHeader header;
      if (!take(std::as_writable_bytes(std::span(&header, 1)))) return std::nullopt;
      REQUIRE(header.magic == FrameHeader::sign);
      Heard heard{header.kind, header.number, std::vector<std::byte>(header.bytes)};
      if (!take(heard.payload)) return std::nullopt;
      if (kind ? heard.kind == *kind : heard.kind != Kind::alive) return heard;
    }
  }
  /// Why the node has closed, in its words.
  std::string last_words() const {
    std::string words;
    while (const auto heard = hear()) {
      if (heard->kind == Kind::obituary) words = Reader(heard->payload).text();
    }
    return words;
  }
  struct Said {
    std::int32_t code = 0;
    std::string text;
    std::vector<std::byte> more;
    template <class T>
    T value() const {
      return Reader(more).get<T>();
    }
  };
  static Said answer_in(const Heard& heard) {
    Reader reader(heard.payload);
    Said said;
    said.code = reader.get<std::int32_t>();
    said.text = reader.text();
    const auto more = reader.take(reader.left());
    said.more.assign(more.begin(), more.end());
    return said;
  }
  /// Calls, and waits for the answer.
  Said ask(Kind kind, const Writer& arguments) {
    const auto number = ++last_number_;
    say(kind, arguments, number);
    for (;;) {
      const auto heard = hear(Kind::answer);
      REQUIRE(heard);
      if (heard->number == number) return answer_in(*heard);
    }
  }
  /// A kernel of the node's module.
  std::uint64_t kernel(const std::string& name) {
    CallableNews news;
    news.has_name = news.has_module = 1;
    const auto build = runtime::object_identity(isolated_kernels().raw()).value();
    const auto digest = runtime::sha256_of_file(built("tests/platform/isolated/isolated_kernels.so")).value();
    Writer words;
    words.put(news).text(name).text(runtime::to_string(digest)).text(isolated_kernels().name());
    words.text(runtime::to_string(build));
    const auto said = ask(Kind::register_callable, words);
    REQUIRE_MESSAGE(said.code == 0, said.text);
    return said.value<std::uint64_t>();
  }
  void launch(std::uint64_t kernel, std::span<const troupe_tensor_arg> tensors,
              std::span<const std::uint64_t> scalars = {}) {
    troupe_run run{};
    run.correlation = ++last_run_;
    run.callable = kernel;
    run.tensors = tensors.data();
    run.tensor_count = static_cast<std::uint32_t>(tensors.size());
    run.scalars = scalars.data();
    run.scalar_count = static_cast<std::uint32_t>(scalars.size());
    Writer words;
    words.put(std::uint64_t{0}).put(std::uint64_t{1});
    put_run(words, run, tensors);
    say(Kind::launch, words);
  }

  template <class T>
  T take_value() const {
    T value{};
    REQUIRE(take(std::as_writable_bytes(std::span(&value, 1))));
    return value;
  }
  void skip(std::size_t bytes) const {
    std::vector<std::byte> some(bytes);
    REQUIRE(take(some));
  }
  void say_no_more() const { ::shutdown(socket_.get(), SHUT_WR); }
  /// Until the node has closed.
  std::size_t rest() const {
    std::size_t all = 0;
    std::byte some[4096];
    for (;;) {
      const auto came = ::recv(socket_.get(), some, sizeof some, 0);
      if (came <= 0) return all;
      all += static_cast<std::size_t>(came);
    }
  }

 private:
  bool take(std::span<std::byte> to) const {
    return to.empty() ||
           ::recv(socket_.get(), to.data(), to.size(), MSG_WAITALL) == static_cast<ssize_t>(to.size());
  }

  comm::FileDescriptor socket_;
  std::uint64_t last_number_ = 0, last_run_ = 0;
};

/// What a node says of what happens.
class NodeLog {
 public:
  std::function<void(const std::string&)> listener() {
    return [this](const std::string& text) {
      const std::lock_guard lock(mutex_);
      all_ += text + "\n";
      heard_.notify_all();
    };
  }
  void wait_for(const std::string& part) {
    std::unique_lock lock(mutex_);
    heard_.wait(lock, [&] { return contains(all_, part); });
  }

 private:
  std::mutex mutex_;
  std::condition_variable heard_;
  std::string all_;
};

/// Somebody where a node should be.
class Host {
 public:
  explicit Host(const std::string& path) : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un where{};
    where.sun_family = AF_UNIX;
    std::memcpy(where.sun_path, path.c_str(), path.size() + 1);
    REQUIRE(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0);
    REQUIRE(::listen(socket_.get(), 4) == 0);
  }
  /// Lets one in, says that it is welcome, and nothing more until it has gone; or until it has given a sign
  /// of life, if it is to give such in time for that patience. Whether it has.
  bool welcome_one(std::uint64_t silence_ms = 0) const {
    const comm::FileDescriptor guest(::accept(socket_.get(), nullptr, nullptr));
    Welcome welcome;
    const auto build = this_build();
    std::memcpy(welcome.build, build.build, sizeof welcome.build);
    welcome.chips = 1;
    welcome.silence_ms = silence_ms;
    Writer words;
    words.put(welcome).text("").text("a2a3sim");
    FrameHeader header;
    header.kind = Kind::welcome;
    header.bytes = static_cast<std::uint32_t>(words.bytes().size());
    Writer all;
    all.put(header).raw(words.bytes().data(), words.bytes().size());
    (void)!::send(guest.get(), all.bytes().data(), all.bytes().size(), MSG_NOSIGNAL);
    Claim claim;
    std::vector<std::byte> said(sizeof header + sizeof claim);
    if (!take(guest, said)) return false;
    std::memcpy(&header, said.data(), sizeof header);
    said.resize(header.bytes - sizeof claim);
    if (!take(guest, said)) return false;
    while (take(guest, std::as_writable_bytes(std::span(&header, 1)))) {
      said.resize(header.bytes);
      if (!take(guest, said)) return false;
      if (silence_ms != 0 && header.kind == Kind::alive) return true;
    }
    return false;
  }

 private:
  static bool take(const comm::FileDescriptor& from, std::span<std::byte> to) {
    return to.empty() ||
           ::recv(from.get(), to.data(), to.size(), MSG_WAITALL) == static_cast<ssize_t>(to.size());
  }

  comm::FileDescriptor socket_;
};

inline Claim claim_of_this_build() {
  Claim claim;
  const auto build = this_build();
  std::memcpy(claim.build, build.build, sizeof claim.build);
  claim.silence_ms = 20'000;
  return claim;
}

inline void Guest::claim(std::int32_t chip, std::uint8_t pod, std::uint64_t silence_ms) const {
  auto claim = claim_of_this_build();
  claim.chip = chip;
  claim.pod = {pod};
  claim.silence_ms = silence_ms;
  say(Kind::claim, Writer().put(claim).text("node"));
}

inline void Guest::set_up(std::int32_t chip, std::uint8_t pod) {
  claim(chip, pod);
  const auto welcome = hear();
  REQUIRE(welcome);
  REQUIRE(welcome->kind == Kind::welcome);
  REQUIRE(Reader(welcome->payload).get<Welcome>().code == 0);
  REQUIRE(hear(Kind::hello));
  SetUp facts;
  facts.staging_bytes = 65536;
  const auto begun = ask(Kind::set_up, Writer().put(facts).text("").text("guest"));
  REQUIRE_MESSAGE(begun.code == 0, begun.text);
  REQUIRE(ask(Kind::set_device, Writer().put(std::int32_t{0})).code == 0);
}

}  // namespace troupe::test
