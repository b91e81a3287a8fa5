(* What a model file says of its architecture: CERTIFICATE.md, section 2. The theorem is about models with one block, without MLP
   or with ReLU, without LayerNorm, readout layers and pooling. *)

open Refusal

type t = { heads : int; causal : bool; relu : bool; scale_squared : Z.t * Z.t; entry : Json.t option; brief : string }

let path = "__metadata__.architecture"
let fields = [ "activation"; "attn_scale_squared"; "blocks"; "eps"; "heads"; "mask"; "normalization"; "norms"; "pool"; "readout_layers" ]

(* Of a file that says nothing: one head, and scores divided by the root of d_head. *)
let one_head d_head = { heads = 1; causal = true; relu = false; scale_squared = (Z.of_int d_head, Z.one); entry = None; brief = "" }

let read text =
  let value = Json.parse text in
  let field = Json.record path fields value in
  if Json.canonical value <> text then malformed "not-canonical" path;
  let at name = path ^ "." ^ name in
  let choice name names = Json.choice (at name) names (field name) in
  let small name low high = Z.to_int (Json.bounded (Z.of_int low) (Z.of_int high) (at name) (field name)) in
  let activation = choice "activation" [ "none"; "relu"; "silu"; "gelu_tanh"; "gelu_erf" ] in
  let scale_squared = Json.fraction (at "attn_scale_squared") (field "attn_scale_squared") in
  let blocks = small "blocks" 0 64 in
  let eps = Json.fraction (at "eps") (field "eps") in
  let heads = small "heads" 1 1024 in
  let mask = choice "mask" [ "causal"; "full" ] in
  let normalization = choice "normalization" [ "none"; "LN"; "LNPre" ] in
  let norms = Json.array (at "norms") (fun path value -> Json.choice path [ "pre"; "post"; "final" ] value) (field "norms") in
  let pool = choice "pool" [ "none"; "sum"; "mean" ] in
  let readout_layers = small "readout_layers" 0 16 in
  if Z.sign (fst scale_squared) = 0 then malformed "out-of-range" (at "attn_scale_squared");
  let places = [ []; [ "pre" ]; [ "post" ]; [ "final" ]; [ "pre"; "final" ]; [ "post"; "final" ] ] in
  if (not (List.mem norms places)) || (normalization <> "none") <> (norms <> []) then malformed "unsupported" (at "norms");
  if norms = [] && Z.sign (fst eps) <> 0 then malformed "unsupported" (at "eps");
  let covered name it_is = if not it_is then refuse Not_proved ("not-proved-architecture " ^ name) path in
  covered "blocks" (blocks = 1);
  covered "activation" (activation = "none" || activation = "relu");
  covered "norms" (norms = []);
  covered "pool" (pool = "none");
  covered "readout_layers" (readout_layers = 0);
  let relu = activation = "relu" in
  let brief = Printf.sprintf "1L%dH-%s%s" heads (if relu then "relu" else "attn-only") (if mask = "full" then "-full" else "") in
  { heads; causal = mask = "causal"; relu; scale_squared; entry = Some value; brief }
