output "audiences" {
  description = "GCP_AUDIENCE of each cluster, and the audience of its tokens."
  value = {
    for name in keys(module.names.providers) :
    name => "//iam.${var.universe_domain}/${google_iam_workload_identity_pool_provider.cluster[name].name}"
  }
}

output "readers" {
  description = "Who may pull: the repository and the member of IAM, for each repository and puller."
  value       = module.names.readers
}

output "users" {
  description = "Who may impersonate: the service account and the member of IAM, for each puller that does."
  value       = module.names.users
}
