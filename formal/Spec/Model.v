(** What a certificate claims: CERTIFICATE.md, section 1, for the task max-of-k on one attention block with one head.

    This file is all that has to be read to know what the theorem in Main.v says. It uses nothing but the real numbers
    of the standard library, with their exact [exp] and [sqrt]. A matrix is a function of a row and a column, a vector a
    function of an index; a sequence is the list of its tokens. *)

From Coq Require Import Reals ZArith List.
Import ListNotations.
Open Scope R_scope.

Fixpoint sum (n : nat) (f : nat -> R) : R :=
  match n with O => 0 | S n' => sum n' f + f n' end.

(** ** The model as a function *)

Record model := Model {
  d_vocab : nat; d_model : nat; d_head : nat; n_ctx : nat;
  W_E : nat -> nat -> R; W_pos : nat -> nat -> R;
  W_Q : nat -> nat -> R; W_K : nat -> nat -> R; W_V : nat -> nat -> R; W_O : nat -> nat -> R; W_U : nat -> nat -> R;
  b_Q : nat -> R; b_K : nat -> R; b_V : nat -> R; b_O : nat -> R; b_U : nat -> R }.

Section Function.
Variables (M : model) (t : list nat).

(** [x_p = W_E[t_p] + W_pos[p]] *)
Definition residual (p i : nat) : R := W_E M (nth p t 0%nat) i + W_pos M p i.

(** [x_p W + b], for the queries, keys and values of the head *)
Definition linear (W : nat -> nat -> R) (b : nat -> R) (p h : nat) : R :=
  sum (d_model M) (fun i => residual p i * W i h) + b h.

(** [s_pj = (x_p W_Q + b_Q) . (x_j W_K + b_K) / sqrt(d_head)] *)
Definition score (p j : nat) : R :=
  sum (d_head M) (fun h => linear (W_Q M) (b_Q M) p h * linear (W_K M) (b_K M) j h) / sqrt (INR (d_head M)).

(** [a_pj = exp(s_pj) / sum over visible i of exp(s_pi)]; position p sees the positions 0, ..., p *)
Definition attention (p j : nat) : R := exp (score p j) / sum (S p) (fun i => exp (score p i)).

(** [z_p = sum over visible j of a_pj (x_j W_V + b_V)] *)
Definition mixed (p h : nat) : R := sum (S p) (fun j => attention p j * linear (W_V M) (b_V M) j h).

(** [x_p + z_p W_O + b_O] *)
Definition after_attention (p i : nat) : R :=
  residual p i + sum (d_head M) (fun h => mixed p h * W_O M h i) + b_O M i.

(** logits [= x_r W_U + b_U], read at the last position *)
Definition logit (y : nat) : R :=
  sum (d_model M) (fun i => after_attention (n_ctx M - 1) i * W_U M i y) + b_U M y.
End Function.

(** ** The task *)

Definition is_sequence (M : model) (t : list nat) : Prop :=
  length t = n_ctx M /\ Forall (fun token => (token < d_vocab M)%nat) t.

Definition label (t : list nat) : nat := list_max t.

(** A tie is wrong. *)
Definition correct (M : model) (margin : R) (t : list nat) : Prop :=
  is_sequence M t /\
  forall y, (y < d_vocab M)%nat -> y <> label t -> logit M t y + margin < logit M t (label t).

Definition wrong (M : model) (margin : R) (t : list nat) : Prop :=
  is_sequence M t /\ ~ correct M margin t.

(** At least [n] different sequences have the property [P]. *)
Definition at_least (n : Z) (P : list nat -> Prop) : Prop :=
  exists ts, NoDup ts /\ Forall P ts /\ (n <= Z.of_nat (length ts))%Z.

(** ** The weights of a model file: finite floating-point numbers, as integers times a power of two *)

Record matrix := Matrix { rows : list (list Z); exponent : Z }.

Definition entry (A : matrix) (i j : nat) : Z := nth j (nth i (rows A) []) 0%Z.
Definition number (A : matrix) (i j : nat) : R := IZR (entry A i j) * powerRZ 2 (exponent A).

Record weights := Weights {
  embed_W_E : matrix; pos_embed_W_pos : matrix;
  attn_W_Q : matrix; attn_W_K : matrix; attn_W_V : matrix; attn_W_O : matrix; unembed_W_U : matrix;
  attn_b_Q : matrix; attn_b_K : matrix; attn_b_V : matrix; attn_b_O : matrix; unembed_b_U : matrix }.

Definition columns (A : matrix) : nat := length (hd [] (rows A)).

(** A vector is a matrix of one row. *)
Definition model_of (w : weights) : model := {|
  d_vocab := length (rows (embed_W_E w)); d_model := columns (embed_W_E w);
  d_head := columns (attn_W_Q w); n_ctx := length (rows (pos_embed_W_pos w));
  W_E := number (embed_W_E w); W_pos := number (pos_embed_W_pos w);
  W_Q := number (attn_W_Q w); W_K := number (attn_W_K w); W_V := number (attn_W_V w);
  W_O := number (attn_W_O w); W_U := number (unembed_W_U w);
  b_Q := number (attn_b_Q w) 0; b_K := number (attn_b_K w) 0; b_V := number (attn_b_V w) 0;
  b_O := number (attn_b_O w) 0; b_U := number (unembed_b_U w) 0 |}.
