(** What a certificate claims: CERTIFICATE.md, section 1, for any problem of a model with one block: any number of heads, a
    causal or a full mask, an MLP with ReLU or none, all biases. Without LayerNorm, readout layers and pooling.

    Beside Model.v, of which it takes [sum] and [matrix], this file is all that has to be read to know what the
    theorem about problems in Main.v says. *)

From Coq Require Import Reals ZArith List Arith Bool.
From Compact Require Import Spec.Model.
Import ListNotations.
Open Scope R_scope.

(** ** The model as a function *)

Record head := Head {
  head_Q : nat -> nat -> R; head_K : nat -> nat -> R; head_V : nat -> nat -> R; head_O : nat -> nat -> R;
  head_b_Q : nat -> R; head_b_K : nat -> R; head_b_V : nat -> R }.

Record neurons := Neurons {
  how_many : nat; W_in : nat -> nat -> R; b_in : nat -> R; W_out : nat -> nat -> R; b_out : nat -> R }.

Record layer := Layer {
  vocabulary_size : nat; outputs : nat; residual_size : nat; head_size : nat;
  causal : bool; scale_squared : R;
  of_token : nat -> nat -> R; of_position : nat -> nat -> R; heads : list head; b_attention : nat -> R;
  mlp : option neurons;
  unembed : nat -> nat -> R; b_unembed : nat -> R }.

Section Function.
Variables (L : layer) (t : list nat).

(** [x_p = W_E[t_p] + W_pos[p]] *)
Definition entering (p i : nat) : R := of_token L (nth p t 0%nat) i + of_position L p i.

(** [x_p W + b] *)
Definition read_by (W : nat -> nat -> R) (b : nat -> R) (p h : nat) : R :=
  sum (residual_size L) (fun i => entering p i * W i h) + b h.

(** Position p sees the positions 0, ..., p, or all. *)
Definition visible (p : nat) : nat := if causal L then S p else length t.

(** [s_pj = (x_p W_Q + b_Q) . (x_j W_K + b_K) / sqrt(attn_scale_squared)] *)
Definition head_score (H : head) (p j : nat) : R :=
  sum (head_size L) (fun h => read_by (head_Q H) (head_b_Q H) p h * read_by (head_K H) (head_b_K H) j h) / sqrt (scale_squared L).

(** [a_pj = exp(s_pj) / sum over visible i of exp(s_pi)] *)
Definition head_attention (H : head) (p j : nat) : R :=
  exp (head_score H p j) / sum (visible p) (fun i => exp (head_score H p i)).

(** [z_p = sum over visible j of a_pj (x_j W_V + b_V)] *)
Definition head_mixed (H : head) (p h : nat) : R :=
  sum (visible p) (fun j => head_attention H p j * read_by (head_V H) (head_b_V H) j h).

Definition sum_of_heads (f : head -> R) : R := fold_right (fun H rest => f H + rest) 0 (heads L).

(** [x_p + (sum over heads of z_p W_O) + b_O] *)
Definition after_heads (p i : nat) : R :=
  entering p i + sum_of_heads (fun H => sum (head_size L) (fun h => head_mixed H p h * head_O H h i)) + b_attention L i.

(** [relu(x_p W_in + b_in)], of one neuron *)
Definition active (N : neurons) (p j : nat) : R := Rmax 0 (sum (residual_size L) (fun i => after_heads p i * W_in N i j) + b_in N j).

(** [x_p + relu(x_p W_in + b_in) W_out + b_out] *)
Definition leaving (p i : nat) : R :=
  match mlp L with
  | None => after_heads p i
  | Some N => after_heads p i + sum (how_many N) (fun j => active N p j * W_out N j i) + b_out N i
  end.

(** logits [= x_r W_U + b_U], read at the position r *)
Definition logit_at (r y : nat) : R := sum (residual_size L) (fun i => leaving r i * unembed L i y) + b_unembed L y.
End Function.

(** ** The label: what a deterministic automaton says after reading the tokens from left to right *)

Open Scope Z_scope.

Inductive automaton :=
| Max | Min | Nth_largest (n : nat) | Argmax | Sum_mod (modulus : Z) | Contains (token : Z) | First | Last | Majority
| Table (start : nat) (next : list (list nat)) (output : list Z).

(** A state is a list of integers. *)
Definition start (A : automaton) : list Z :=
  match A with Argmax => [-1; 0] | Sum_mod _ | Contains _ => [0] | Table first _ _ => [Z.of_nat first] | _ => [] end.

(** In decreasing order. *)
Fixpoint insert (t : Z) (state : list Z) : list Z :=
  match state with s :: rest => if s <=? t then t :: state else s :: insert t rest | [] => [t] end.

Definition occurrences (t : Z) (state : list Z) : nat := length (filter (Z.eqb t) state).

(** The state after reading the token [t] at the position [p]. *)
Definition advance (A : automaton) (state : list Z) (p t : nat) : list Z :=
  let token := Z.of_nat t in
  match A with
  | Max => match state with s :: _ => [Z.max s token] | [] => [token] end
  | Min => match state with s :: _ => [Z.min s token] | [] => [token] end
  | Nth_largest n => firstn n (insert token state)
  | Argmax => if hd (-1) state <? token then [token; Z.of_nat p] else state
  | Sum_mod modulus => [(hd 0 state + token) mod modulus]
  | Contains wanted => if token =? wanted then [1] else state
  | First => match state with s :: _ => [s] | [] => [token] end
  | Last => [token]
  | Majority => insert token state
  | Table _ next _ => [Z.of_nat (nth t (nth (Z.to_nat (hd 0 state)) next []) 0%nat)]
  end.

(** The most frequent, the smallest of several: in decreasing order the last that no earlier one outnumbers. *)
Definition most_frequent (state : list Z) : Z :=
  fold_left (fun best t => if Nat.leb (occurrences best state) (occurrences t state) then t else best) state (hd 0 state).

Definition output (A : automaton) (state : list Z) : Z :=
  match A with
  | Nth_largest _ => last state 0
  | Argmax => last state 0
  | Majority => most_frequent state
  | Table _ _ out => nth (Z.to_nat (hd 0 state)) out 0
  | _ => hd 0 state
  end.

(** From the positions that are read, from position [p] on; the others leave the automaton in its state. *)
Fixpoint run (A : automaton) (read : list nat) (state : list Z) (p : nat) (x : list nat) : list Z :=
  match x with
  | [] => state
  | t :: rest => run A read (if existsb (Nat.eqb p) read then advance A state p t else state) (S p) rest
  end.

(** ** The problem *)

(** For each position the tokens that can stand there and their weights; what reads the label, and at which positions;
    where the logits are read. *)
Record problem := Problem { allowed : list (list (nat * Z)); answer : automaton; reading : list nat; readout : nat }.

Definition right_answer (P : problem) (x : list nat) : Z := output (answer P) (run (answer P) (reading P) (start (answer P)) 0 x).

(** An input weighs the product of the weights of its tokens. *)
Definition weight_in (row : list (nat * Z)) (t : nat) : Z :=
  match find (fun choice => Nat.eqb (fst choice) t) row with Some choice => snd choice | None => 0 end.

Fixpoint weight_of_input (rows : list (list (nat * Z))) (x : list nat) : Z :=
  match rows, x with
  | [], [] => 1
  | row :: rows', t :: rest => weight_in row t * weight_of_input rows' rest
  | _, _ => 0
  end.

Definition total_weight (rows : list (list (nat * Z))) (xs : list (list nat)) : Z :=
  fold_right (fun x rest => weight_of_input rows x + rest) 0 xs.

(** A tie is wrong; so is an input whose label is no output. *)
Definition answered (L : layer) (P : problem) (margin : R) (x : list nat) : Prop :=
  exists c, Z.of_nat c = right_answer P x /\ (c < outputs L)%nat /\
  forall y, (y < outputs L)%nat -> y <> c -> (logit_at L x (readout P) y + margin < logit_at L x (readout P) c)%R.

(** Different inputs that have the property [Q] weigh at least [n]. *)
Definition weigh_at_least (P : problem) (n : Z) (Q : list nat -> Prop) : Prop :=
  exists xs, NoDup xs /\ Forall (fun x => 0 < weight_of_input (allowed P) x /\ Q x) xs /\ n <= total_weight (allowed P) xs.

(** ** The weights of a model file *)

Record head_weights := Head_weights {
  attn_Q : matrix; attn_K : matrix; attn_V : matrix; attn_O : matrix; attn_bias_Q : matrix; attn_bias_K : matrix; attn_bias_V : matrix }.

Record mlp_weights := Mlp_weights { mlp_in : matrix; mlp_bias_in : matrix; mlp_out : matrix; mlp_bias_out : matrix }.

(** The square of the scale is a fraction. *)
Record layer_weights := Layer_weights {
  embed_E : matrix; embed_pos : matrix; attn_heads : list head_weights; attn_bias_O : matrix;
  mlp_of_layer : option mlp_weights; unembed_U : matrix; unembed_bias : matrix;
  is_causal : bool; scale_above : Z; scale_below : Z }.

Definition head_of_weights (h : head_weights) : head := {|
  head_Q := number (attn_Q h); head_K := number (attn_K h); head_V := number (attn_V h); head_O := number (attn_O h);
  head_b_Q := number (attn_bias_Q h) 0; head_b_K := number (attn_bias_K h) 0; head_b_V := number (attn_bias_V h) 0 |}.

Definition neurons_of_weights (n : mlp_weights) : neurons := {|
  how_many := columns (mlp_in n); W_in := number (mlp_in n); b_in := number (mlp_bias_in n) 0;
  W_out := number (mlp_out n); b_out := number (mlp_bias_out n) 0 |}.

Definition layer_of (w : layer_weights) : layer := {|
  vocabulary_size := length (rows (embed_E w)); outputs := columns (unembed_U w); residual_size := columns (embed_E w);
  head_size := columns (match attn_heads w with h :: _ => attn_Q h | [] => embed_E w end);
  causal := is_causal w; scale_squared := (IZR (scale_above w) / IZR (scale_below w))%R;
  of_token := number (embed_E w); of_position := number (embed_pos w); heads := map head_of_weights (attn_heads w);
  b_attention := number (attn_bias_O w) 0; mlp := option_map neurons_of_weights (mlp_of_layer w); unembed := number (unembed_U w); b_unembed := number (unembed_bias w) 0 |}.
