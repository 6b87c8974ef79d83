# One cluster whose keys Google cannot fetch; one ServiceAccount and one namespace may pull.

module "pulls" {
  source = "../.."

  project_id = "my-project"

  clusters = {
    prod = {
      issuer    = "https://kubernetes.default.svc.cluster.local"
      jwks_json = file("${path.module}/prod.jwks.json") # kubectl get --raw /openid/v1/jwks
    }
  }

  repositories = {
    images = { location = "europe" }
  }

  pull = [
    { cluster = "prod", namespace = "backend", service_account = "default" },
    { cluster = "prod", namespace = "monitoring" },
  ]
}

output "audiences" {
  description = "GCP_AUDIENCE of the cluster."
  value       = module.pulls.audiences
}
