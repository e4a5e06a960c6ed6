#pragma once

// Certificates and keys, made by openssl, and where they are kept.

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "troupe/comm/file_descriptor.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::apps {

/// Where certificates are made, by name.
class CertificatePlace {
 public:
  CertificatePlace() = default;
  CertificatePlace(const CertificatePlace&) = delete;
  CertificatePlace& operator=(const CertificatePlace&) = delete;
  virtual ~CertificatePlace() = default;
  /// Under which other processes of this user read and write it.
  virtual std::string path(const std::string& name) = 0;
  virtual bool has(const std::string& name) = 0;
  virtual void remove(const std::string& name) = 0;
};

class CertificateFolder final : public CertificatePlace {
 public:
  explicit CertificateFolder(std::string folder) : folder_(std::move(folder)) {}
  std::string path(const std::string& name) override;
  bool has(const std::string& name) override;
  void remove(const std::string& name) override;

 private:
  const std::string folder_;
};

/// In this process's memory: it is gone when the process is, however that ends.
class CertificateMemory final : public CertificatePlace {
 public:
  std::string path(const std::string& name) override;
  bool has(const std::string& name) override;
  void remove(const std::string& name) override { memory_.erase(name); }

 private:
  std::map<std::string, comm::FileDescriptor> memory_;
};

/// An authority of one's own, and the certificates that it signs. What is there already is kept, if it is
/// what would be made; if it is something else, that is an error.
class Authority {
 public:
  Authority(CertificatePlace& place, int days) : place_(place), days_(std::to_string(days)) {}
  Result<void> make();
  /// For a node that is reached under that name, or for a user. False: it is there already.
  Result<bool> issue_node(const std::string& host);
  Result<bool> issue_user(const std::string& name);

 private:
  struct Wanted {
    std::string name, usage, purpose, names;
    std::vector<std::string> check;
  };
  Result<bool> issue(const Wanted& wanted);
  Result<void> is_as_wanted(const Wanted& wanted);
  Result<void> fit(const std::string& certificate, const std::string& key, const std::string& subject);
  /// What it says.
  Result<std::string> openssl(std::vector<std::string> arguments);

  CertificatePlace& place_;
  const std::string days_;
};

}  // namespace troupe::apps
