(** rules.md, "Features": balls of what one layer makes of each token at each position, and enclosures of attention weights. *)

From Coq Require Import Reals ZArith List Lra Lia Arith Bool.
From Compact Require Import Spec.Model Spec.General Real.Sums Real.Products Integer.Dyadic Integer.Matrix Real.ScaledExp.
From Compact Require Import General.Heads General.Exponentials General.Balls.
Import ListNotations.
Open Scope R_scope.

(** ** Weights of the right shapes *)

Definition head_shaped (d n : nat) (h : head_weights) : bool :=
  forallb (fun A => shape_test A d n) [attn_Q h; attn_K h; attn_V h] && shape_test (attn_O h) n d
  && forallb (fun b => shape_test b 1 n) [attn_bias_Q h; attn_bias_K h; attn_bias_V h].

(** The sizes of [layer_of w]. *)
Definition size_v (w : layer_weights) : nat := length (rows (embed_E w)).
Definition size_d (w : layer_weights) : nat := columns (embed_E w).
Definition size_n (w : layer_weights) : nat := columns (match attn_heads w with h :: _ => attn_Q h | [] => embed_E w end).
Definition size_m (w : layer_weights) : nat := columns (unembed_U w).
Definition size_k (w : layer_weights) : nat := match mlp_of_layer w with Some n => columns (mlp_in n) | None => 0 end.

Definition mlp_shaped (d k : nat) (n : mlp_weights) : bool :=
  Nat.ltb 0 k && shape_test (mlp_in n) d k && shape_test (mlp_bias_in n) 1 k && shape_test (mlp_out n) k d && shape_test (mlp_bias_out n) 1 d.

Definition well_shaped (w : layer_weights) : bool :=
  let (v, d) := (size_v w, size_d w) in let (n, m) := (size_n w, size_m w) in
  forallb (Nat.ltb 0) [v; d; n; m; length (attn_heads w)] && forallb (head_shaped d n) (attn_heads w)
  && match mlp_of_layer w with Some one => mlp_shaped d (size_k w) one | None => true end
  && shape_test (embed_E w) v d && shape_test (embed_pos w) (length (rows (embed_pos w))) d && shape_test (attn_bias_O w) 1 d
  && shape_test (unembed_U w) d m && shape_test (unembed_bias w) 1 m && (0 <? scale_above w)%Z && (0 <? scale_below w)%Z.

(** ** The program *)

Definition row_of (A : matrix) (i : nat) : matrix := {| rows := [nth i (rows A) []]; exponent := exponent A |}.
Definition zero_row (n : nat) : matrix := {| rows := [repeat 0%Z n]; exponent := 0 |}.

(** Entries of lists of lists. *)
Definition at2 {A : Type} (default : A) (T : list (list A)) (p t : nat) : A := nth t (nth p T []) default.

Record one_head_tables := One_head_tables {
  asking : list ball; (* [t], at the position that is read *)
  answering : list (list ball); (* [p][t] *)
  adding : list (list ball) (* [p][t] *) }.

Record layer_tables := Layer_tables { of_heads : list one_head_tables; passing : list ball; (* [t] *) scaled : scaling }.

Definition residual_ball (w : layer_weights) (bits : Z) (p t : nat) : ball :=
  {| centre := hd [] (nearest bits (add_row (row_of (embed_E w) t) (row_of (embed_pos w) p))); radius := 1 |}.

(** Linear maps to outputs, and if there are any to neurons. *)
Definition feature_maps := (linear * option linear)%type.

Definition features (bits : Z) (maps : feature_maps) (x : ball) : ball :=
  let to_outputs := image bits (fst maps) x in
  match snd maps with Some l => beside to_outputs (image bits l x) | None => to_outputs end.

Definition output_maps (w : layer_weights) (bits : Z) (h : head_weights) : feature_maps :=
  (linear_of bits (mul (attn_O h) (unembed_U w)) (zero_row (size_m w)),
   option_map (fun n => linear_of bits (mul (attn_O h) (mlp_in n)) (zero_row (size_k w))) (mlp_of_layer w)).

(** The biases of what leaves the heads, and for outputs those of the MLP. *)
Definition direct_maps (w : layer_weights) (bits : Z) : feature_maps :=
  match mlp_of_layer w with
  | None => (linear_of bits (unembed_U w) (mul (attn_bias_O w) (unembed_U w)), None)
  | Some n => (linear_of bits (unembed_U w) (mul (add_row (attn_bias_O w) (mlp_bias_out n)) (unembed_U w)),
      Some (linear_of bits (mlp_in n) (add_row (mul (attn_bias_O w) (mlp_in n)) (mlp_bias_in n))))
  end.

Definition maps_of (w : layer_weights) (bits : Z) (W b : head_weights -> matrix) : list linear :=
  side_by_side (map (fun h => linear_of bits (W h) (b h)) (attn_heads w)).

(** Of a position that is read, and so many that it sees. *)
Definition tables_of_layer (w : layer_weights) (bits : Z) (r seen : nat) : layer_tables :=
  let residuals := map (fun p => map (residual_ball w bits p) (seq 0 (size_v w))) (seq 0 seen) in
  let here := nth r residuals [] in
  let under (l : linear) := map (map (image bits l)) residuals in
  {| of_heads := map (fun one : (linear * linear) * (linear * feature_maps) => let '((Q, K), (V, out)) := one in
       {| asking := map (image bits Q) here; answering := under K; adding := map (map (features bits out)) (under V) |})
       (combine (combine (maps_of w bits attn_Q attn_bias_Q) (maps_of w bits attn_K attn_bias_K))
                (combine (maps_of w bits attn_V attn_bias_V) (map (output_maps w bits) (attn_heads w))));
     passing := map (features bits (direct_maps w bits)) here;
     scaled := scaling_of (scale_above w, scale_below w) bits |}.

(** The exponential of the score that a query gives a key. *)
Definition power_of (s : scaling) (query key : ball) : option power :=
  let score := dot (centre query) (centre key) in
  let doubt := product_doubt query key in
  exp_between s (- 2 * precision s) (- score - doubt) (doubt - score).

(** [p][t]: of a query at the position [r], where there is no other token. *)
Definition powers_of (s : scaling) (r q : nat) (T : one_head_tables) : list (list (option power)) :=
  let query := nth q (asking T) (Ball [] 0) in
  map (fun one : nat * list ball => let (p, keys) := one in
    map (fun key : nat * ball => if Nat.eqb p r && negb (Nat.eqb (fst key) q) then None else power_of s query (snd key))
      (combine (seq 0 (length keys)) keys))
    (combine (seq 0 (length (answering T))) (answering T)).

(** ** What it encloses *)

Section Right.
Variables (w : layer_weights) (bits : Z) (r seen : nat).
Hypothesis shaped : well_shaped w = true.
Hypothesis natural : (0 <= bits)%Z.
Hypothesis r_seen : (r < seen)%nat.
Hypothesis all_exist : (seen <= length (rows (embed_pos w)))%nat.
Notation L := (layer_of w).
Notation v := (size_v w).
Notation d := (size_d w).
Notation n := (size_n w).
Notation m := (size_m w).
Notation k := (size_k w).
Notation T := (tables_of_layer w bits r seen).

Lemma layer_sizes : (0 < v)%nat /\ (0 < d)%nat /\ (0 < n)%nat /\ (0 < m)%nat /\ (0 < length (attn_heads w))%nat.
Proof.
  unfold well_shaped in shaped. rewrite !andb_true_iff in shaped. cbn [forallb] in shaped. rewrite !andb_true_iff, !Nat.ltb_lt in shaped. tauto.
Qed.

Lemma layer_shapes : has_shape (embed_E w) v d /\ has_shape (embed_pos w) (length (rows (embed_pos w))) d /\ has_shape (attn_bias_O w) 1 d /\
  has_shape (unembed_U w) d m /\ has_shape (unembed_bias w) 1 m /\ (0 < scale_above w)%Z /\ (0 < scale_below w)%Z.
Proof.
  unfold well_shaped in shaped. rewrite !andb_true_iff in shaped.
  destruct shaped as [[[[[[[[[_ _] _] S1] S2] S3] S4] S5] A] B]. apply Z.ltb_lt in A, B.
  repeat match goal with |- _ /\ _ => apply conj end; try assumption; now apply shape_test_right.
Qed.

Lemma head_shapes : forall h, In h (attn_heads w) ->
  has_shape (attn_Q h) d n /\ has_shape (attn_K h) d n /\ has_shape (attn_V h) d n /\ has_shape (attn_O h) n d /\
  has_shape (attn_bias_Q h) 1 n /\ has_shape (attn_bias_K h) 1 n /\ has_shape (attn_bias_V h) 1 n.
Proof.
  intros h I. unfold well_shaped in shaped. rewrite !andb_true_iff in shaped.
  destruct shaped as [[[[[[[[[_ all] _] _] _] _] _] _] _] _]. rewrite forallb_forall in all. specialize (all h I).
  unfold head_shaped in all. cbn [forallb] in all. rewrite !andb_true_iff in all.
  repeat match goal with |- _ /\ _ => apply conj end; apply shape_test_right; tauto.
Qed.

Lemma mlp_shapes : forall one, mlp_of_layer w = Some one -> (0 < k)%nat /\ has_shape (mlp_in one) d k /\ has_shape (mlp_bias_in one) 1 k /\
  has_shape (mlp_out one) k d /\ has_shape (mlp_bias_out one) 1 d.
Proof.
  intros one E. unfold well_shaped in shaped. rewrite !andb_true_iff in shaped. destruct shaped as [[[[[[[[_ M] _] _] _] _] _] _] _]. rewrite E in M.
  unfold mlp_shaped in M. rewrite !andb_true_iff, Nat.ltb_lt in M.
  repeat match goal with |- _ /\ _ => apply conj end; [apply M | | | |]; apply shape_test_right; tauto.
Qed.

Lemma stands_row_of : forall A R c f i, stands_for A R c f -> (i < R)%nat -> stands_for (row_of A i) 1 c (fun _ j => f i j).
Proof.
  intros A R c f i [S F] I. split.
  - split; [reflexivity|]. cbn [row_of rows]. constructor; [|constructor]. now apply (row_length A R).
  - intros i' j I' J. rewrite F by assumption. unfold number, entry. cbn [row_of rows exponent].
    replace i' with 0%nat by lia. reflexivity.
Qed.

Lemma stands_zero_row : forall c, stands_for (zero_row c) 1 c (fun _ _ => 0).
Proof.
  intros c. split; [split; [reflexivity|]; cbn [zero_row rows]; constructor; [apply repeat_length | constructor]|].
  intros i j I J. unfold number, entry. cbn [zero_row rows]. replace i with 0%nat by lia. cbn [nth]. rewrite nth_repeat. ring.
Qed.

Lemma residual_holds : forall p t, (p < seen)%nat -> (t < v)%nat -> holds_vector bits (residual_ball w bits p t) d (embedded L p t).
Proof.
  intros p t P I. destruct layer_shapes as (SE & SP & _).
  assert (S : stands_for (add_row (row_of (embed_E w) t) (row_of (embed_pos w) p)) 1 d (fun _ i => embedded L p t i)).
  { eapply stands_ext.
    - apply stands_add_row; eapply stands_row_of; [apply stands_number; exact SE | exact I | apply stands_number; exact SP | lia].
    - reflexivity. }
  destruct (nearest_rows bits _ 1 d _ S) as [RL C].
  pose proof (fun i => nearest_half bits _ 1 d _ S 0 i ltac:(lia)) as near. unfold residual_ball.
  destruct (nearest bits _) as [|row [|]]; try discriminate. inversion C as [|? ? Lr _]; subst. cbn [hd nth] in *.
  split; [exact Lr|]. split; [cbn; lia|]. intros i D. cbn [centre radius]. specialize (near i D). simpl (IZR 1). lra.
Qed.

(** *** The maps *)

Lemma maps_right : forall W b, exists maps, maps_of w bits W b = maps /\
  Forall2 (fun h l => linear_right bits (W h) (b h) l) (attn_heads w) maps.
Proof.
  intros W b. exists (maps_of w bits W b). split; [reflexivity|]. unfold maps_of.
  assert (G : Forall2 (fun one l => linear_right bits (fst one) (snd one) l) (map (fun h => (W h, b h)) (attn_heads w))
    (side_by_side (map (fun h => linear_of bits (W h) (b h)) (attn_heads w)))).
  { apply side_by_side_right. induction (attn_heads w) as [|h all IH]; cbn [map]; constructor; [apply linear_of_right | exact IH]. }
  revert G. generalize (side_by_side (map (fun h => linear_of bits (W h) (b h)) (attn_heads w))).
  induction (attn_heads w) as [|h all IH]; intros l G; inversion G; subst; constructor; [assumption | now apply IH].
Qed.

Lemma output_holds : forall h x f, In h (attn_heads w) -> holds_vector bits x n f ->
  holds_vector bits (features bits (output_maps w bits h) x) (m + k)
    (fun y => sum n (fun i => f i * sum d (fun j => number (attn_O h) i j * feature_map L j y))).
Proof.
  intros h x f I inside. destruct layer_sizes as (_ & d_some & _ & m_some & _). destruct layer_shapes as (_ & _ & _ & SU & _).
  destruct (head_shapes h I) as (_ & _ & _ & SO & _).
  pose proof (image_holds bits _ _ n m _ _ (linear_of bits (mul (attn_O h) (unembed_U w)) (zero_row m)) x f natural m_some
    (stands_mul _ _ _ _ _ _ _ d_some (stands_number _ _ _ SO) (stands_number _ _ _ SU)) (stands_zero_row m) (linear_of_right _ _ _) inside) as G.
  unfold features, output_maps, feature_map. cbn [fst snd mlp layer_of outputs].
  destruct (mlp_of_layer w) as [one|] eqn:E; cbn [option_map].
  - destruct (mlp_shapes one E) as (k_some & S_in & _).
    pose proof (image_holds bits _ _ n k _ _ (linear_of bits (mul (attn_O h) (mlp_in one)) (zero_row k)) x f natural k_some
      (stands_mul _ _ _ _ _ _ _ d_some (stands_number _ _ _ SO) (stands_number _ _ _ S_in)) (stands_zero_row k) (linear_of_right _ _ _) inside) as G'.
    apply holds_ext with (1 := beside_holds bits _ _ _ _ _ _ G G'). intros y Y. cbn [W_in neurons_of_weights].
    change (columns (unembed_U w)) with m. unfold product_of. destruct (Nat.ltb y m); now rewrite Rplus_0_r.
  - unfold size_k. rewrite E, Nat.add_0_r. apply holds_ext with (1 := G). intros y Y. change (columns (unembed_U w)) with m.
    apply Nat.ltb_lt in Y. rewrite Y. unfold product_of. now rewrite Rplus_0_r.
Qed.

Lemma read_holds : forall (W b : head_weights -> matrix) h l x f,
  has_shape (W h) d n -> has_shape (b h) 1 n -> linear_right bits (W h) (b h) l -> holds_vector bits x d f ->
  holds_vector bits (image bits l x) n (fun a => sum d (fun i => f i * number (W h) i a) + number (b h) 0 a).
Proof.
  intros W b h l x f SW Sb right inside. destruct layer_sizes as (_ & _ & n_some & _).
  apply image_holds with (W := W h) (b := b h); try assumption; [now apply stands_number|].
  eapply stands_ext; [apply stands_number; exact Sb|]. intros i j I J. now replace i with 0%nat by lia.
Qed.

Lemma direct_features : forall x f, holds_vector bits x d f ->
  holds_vector bits (features bits (direct_maps w bits) x) (m + k) (fun y => sum d (fun i => f i * feature_map L i y) + feature_bias L y).
Proof.
  intros x f inside. destruct layer_sizes as (_ & d_some & _ & m_some & _). destruct layer_shapes as (_ & _ & SO & SU & _).
  unfold features, direct_maps, feature_bias, feature_map. cbn [mlp layer_of outputs unembed b_attention residual_size].
  destruct (mlp_of_layer w) as [one|] eqn:E; cbn [option_map fst snd].
  - destruct (mlp_shapes one E) as (k_some & S_in & S_bin & _ & S_bout).
    assert (G : holds_vector bits (image bits (linear_of bits (unembed_U w) (mul (add_row (attn_bias_O w) (mlp_bias_out one)) (unembed_U w))) x) m
      (fun y => sum d (fun i => f i * number (unembed_U w) i y) + (sum d (fun i => number (attn_bias_O w) 0 i * number (unembed_U w) i y) + sum d (fun i => number (mlp_bias_out one) 0 i * number (unembed_U w) i y)))).
    { apply (image_holds bits (unembed_U w) (mul (add_row (attn_bias_O w) (mlp_bias_out one)) (unembed_U w)) d m); try assumption; [now apply stands_number | | apply linear_of_right].
      eapply stands_ext; [apply stands_mul with (n := d); [exact d_some | apply stands_add_row; apply stands_number; [exact SO | exact S_bout] | apply stands_number; exact SU]|].
      intros i j I J. replace i with 0%nat by lia. unfold product_of. rewrite <- sum_plus. apply sum_ext. intros. ring. }
    assert (G' : holds_vector bits (image bits (linear_of bits (mlp_in one) (add_row (mul (attn_bias_O w) (mlp_in one)) (mlp_bias_in one))) x) k
      (fun y => sum d (fun i => f i * number (mlp_in one) i y) + (sum d (fun i => number (attn_bias_O w) 0 i * number (mlp_in one) i y) + number (mlp_bias_in one) 0 y))).
    { apply (image_holds bits (mlp_in one) (add_row (mul (attn_bias_O w) (mlp_in one)) (mlp_bias_in one)) d k); try assumption; [now apply stands_number | | apply linear_of_right].
      eapply stands_ext; [apply stands_add_row; [apply stands_mul with (n := d); [exact d_some | apply stands_number; exact SO | apply stands_number; exact S_in] | apply stands_number; exact S_bin]|].
      intros i j I J. replace i with 0%nat by lia. reflexivity. }
    apply holds_ext with (1 := beside_holds bits _ _ _ _ _ _ G G'). intros y Y. cbn [W_in b_in b_out neurons_of_weights].
    change (columns (unembed_U w)) with m. change (columns (embed_E w)) with d. destruct (Nat.ltb y m); ring.
  - unfold size_k. rewrite E, Nat.add_0_r.
    assert (G : holds_vector bits (image bits (linear_of bits (unembed_U w) (mul (attn_bias_O w) (unembed_U w))) x) m
      (fun y => sum d (fun i => f i * number (unembed_U w) i y) + sum d (fun i => number (attn_bias_O w) 0 i * number (unembed_U w) i y))).
    { apply (image_holds bits (unembed_U w) (mul (attn_bias_O w) (unembed_U w)) d m); try assumption; [now apply stands_number | | apply linear_of_right].
      eapply stands_ext; [apply stands_mul with (n := d); [exact d_some | apply stands_number; exact SO | apply stands_number; exact SU]|].
      intros i j I J. replace i with 0%nat by lia. reflexivity. }
    apply holds_ext with (1 := G). intros y Y. change (columns (unembed_U w)) with m. change (columns (embed_E w)) with d.
    apply Nat.ltb_lt in Y. rewrite Y. ring.
Qed.

Lemma direct_holds : forall t, (t < v)%nat -> holds_vector bits (nth t (passing T) (Ball [] 0)) (m + k) (direct L r t).
Proof.
  intros t I. unfold tables_of_layer. cbn [passing]. rewrite (nth_map _ _ _ _ r 0%nat []) by (rewrite seq_length; exact r_seen).
  rewrite seq_nth by exact r_seen. rewrite map_map, (nth_map _ _ _ _ t 0%nat) by (rewrite seq_length; exact I).
  rewrite seq_nth by exact I. cbn [Nat.add]. apply direct_features. now apply residual_holds.
Qed.

(** *** Heads *)

Definition head_right (h : head_weights) (one : one_head_tables) : Prop :=
  length (answering one) = seen /\ (forall p, (p < seen)%nat -> length (nth p (answering one) []) = v) /\
  (length (adding one) = seen /\ forall p, (p < seen)%nat -> length (nth p (adding one) []) = v) /\
  (forall t, (t < v)%nat -> holds_vector bits (nth t (asking one) (Ball [] 0)) n (seen_as L (head_Q (head_of_weights h)) (head_b_Q (head_of_weights h)) r t)) /\
  (forall p t, (p < seen)%nat -> (t < v)%nat ->
    holds_vector bits (at2 (Ball [] 0) (answering one) p t) n (seen_as L (head_K (head_of_weights h)) (head_b_K (head_of_weights h)) p t) /\
    holds_vector bits (at2 (Ball [] 0) (adding one) p t) (m + k) (value_of_head L (head_of_weights h) p t)).

Lemma at2_map : forall (A B : Type) (f : A -> B) a b TT p t, (p < length TT)%nat -> (t < length (nth p TT []))%nat ->
  at2 b (map (map f) TT) p t = f (at2 a TT p t).
Proof. intros. unfold at2. rewrite (nth_map _ _ _ _ p [] []) by assumption. now apply nth_map. Qed.

Lemma heads_right : Forall2 head_right (attn_heads w) (of_heads T).
Proof.
  unfold tables_of_layer. cbn [of_heads].
  set (residuals := map (fun p => map (residual_ball w bits p) (seq 0 v)) (seq 0 seen)).
  assert (RL : length residuals = seen) by (unfold residuals; now rewrite map_length, seq_length).
  assert (RP : forall p, (p < seen)%nat -> nth p residuals [] = map (residual_ball w bits p) (seq 0 v)).
  { intros p P. unfold residuals. rewrite (nth_map _ _ _ _ p 0%nat []) by (rewrite seq_length; exact P). now rewrite seq_nth by exact P. }
  assert (RT : forall p t, (p < seen)%nat -> (t < v)%nat -> at2 (Ball [] 0) residuals p t = residual_ball w bits p t).
  { intros p t P I. unfold at2. rewrite RP, (nth_map _ _ _ _ t 0%nat) by (rewrite ?seq_length; assumption). now rewrite seq_nth by exact I. }
  assert (RC : forall p, (p < seen)%nat -> length (nth p residuals []) = v) by (intros p P; rewrite RP, map_length by exact P; apply seq_length).
  clearbody residuals.
  destruct (maps_right attn_Q attn_bias_Q) as (Qs & -> & rQ). destruct (maps_right attn_K attn_bias_K) as (Ks & -> & rK).
  destruct (maps_right attn_V attn_bias_V) as (Vs & -> & rV).
  pose proof head_shapes as shapes. pose proof output_holds as out. revert shapes out rQ rK rV. generalize (attn_heads w) as all. revert Qs Ks Vs.
  intros Qs Ks Vs all. revert Qs Ks Vs. induction all as [|h all IH]; intros Qs Ks Vs shapes out rQ rK rV; inversion rQ as [|? lQ ? Qs' oQ]; inversion rK as [|? lK ? Ks' oK];
    inversion rV as [|? lV ? Vs' oV]; subst; cbn [map combine]; constructor.
  2:{ apply IH; try assumption; intros; [apply shapes | apply out]; auto; now right. }
  destruct (shapes h (or_introl eq_refl)) as (SQ & SK & SV & SO & Sq & Sk & Sv).
  unfold head_right. cbn [answering asking adding]. split; [now rewrite map_length|]. split; [|split; [|split]].
  - intros p P. rewrite (nth_map _ _ _ _ p [] []) by lia. rewrite map_length. now apply RC.
  - split; [now rewrite !map_length|]. intros p P. rewrite !map_map, (nth_map _ _ _ _ p [] []) by lia. rewrite !map_length. now apply RC.
  - intros t I. rewrite (nth_map _ _ _ _ t (Ball [] 0)) by (rewrite RC; assumption).
    fold (at2 (Ball [] 0) residuals r t). rewrite RT by assumption.
    apply read_holds with (W := attn_Q) (b := attn_bias_Q); try assumption. now apply residual_holds.
  - intros p t P I. rewrite at2_map with (a := Ball [] 0) by (rewrite ?RL, ?RC; assumption). split.
    + rewrite RT by assumption. apply read_holds with (W := attn_K) (b := attn_bias_K); try assumption. now apply residual_holds.
    + rewrite at2_map with (a := Ball [] 0) by (rewrite ?map_length, ?RL; try assumption; rewrite (nth_map _ _ _ _ p [] []) by lia; rewrite map_length, RC; assumption).
      rewrite at2_map with (a := Ball [] 0) by (rewrite ?RL, ?RC; assumption). rewrite RT by assumption.
      apply out; [now left|]. apply read_holds with (W := attn_V) (b := attn_bias_V); try assumption. now apply residual_holds.
Qed.

(** What is enclosed is the weight of attention. *)
Lemma power_of_encloses : forall h q p t query key a,
  holds_vector bits query n (seen_as L (head_Q (head_of_weights h)) (head_b_Q (head_of_weights h)) r q) ->
  holds_vector bits key n (seen_as L (head_K (head_of_weights h)) (head_b_K (head_of_weights h)) p t) ->
  power_of (scaling_of (scale_above w, scale_below w) bits) query key = Some a -> encloses bits a (weighs L (head_of_weights h) r q p t).
Proof.
  intros h q p t query key a asks answers E. destruct layer_shapes as (_ & _ & _ & _ & _ & above & below).
  pose proof (product_near bits _ _ n _ _ asks answers) as near. unfold power_of in E.
  pose proof (exp_between_encloses (scaling_of (scale_above w, scale_below w) bits) _ _ _ a (- scored L (head_of_weights h) r q p t)
    (scaling_of_right _ _) above below natural E) as enclosed.
  cbn [precision scaling_of squared fst snd] in enclosed. unfold weighs.
  replace (scored L (head_of_weights h) r q p t / sqrt (scale_squared L))
    with (- (- scored L (head_of_weights h) r q p t / sqrt (IZR (scale_above w) / IZR (scale_below w)))) by (unfold layer_of, Rdiv; cbn [scale_squared]; unfold Rdiv; ring).
  apply enclosed. unfold scored. change (General.head_size L) with n.
  set (S := sum n _) in *. apply Rabs_between in near. pose proof (pow2_pos (- (2 * bits))) as unit. pose proof (pow2_opp (2 * bits)) as inv.
  replace (- 2 * bits)%Z with (- (2 * bits))%Z by lia. rewrite !minus_IZR, opp_IZR.
  assert (ES : S = S * pow2 (2 * bits) * pow2 (- (2 * bits))) by (rewrite Rmult_assoc, inv; ring).
  rewrite ES. split; nra.
Qed.

Lemma power_right : forall h one q p t a, head_right h one -> (q < v)%nat -> (p < seen)%nat -> (t < v)%nat ->
  at2 None (powers_of (scaled T) r q one) p t = Some a -> encloses bits a (weighs L (head_of_weights h) r q p t).
Proof.
  intros h one q p t a (LA & LR & _ & asks & answers) Q P I E.
  unfold powers_of, at2 in E.
  rewrite (nth_map _ _ _ _ p (0%nat, []) []) in E by (rewrite combine_length, seq_length; lia).
  rewrite combine_nth in E by apply seq_length. rewrite seq_nth in E by lia. cbn [Nat.add] in E.
  rewrite (nth_map _ _ _ _ t (0%nat, Ball [] 0) None) in E by (rewrite combine_length, seq_length, LR by exact P; lia).
  rewrite combine_nth in E by apply seq_length. rewrite seq_nth in E by (rewrite LR by exact P; lia). cbn [fst snd Nat.add] in E.
  destruct (_ && _); [discriminate|]. destruct (answers p t P I) as [key _].
  exact (power_of_encloses h q p t _ _ a (asks q Q) key E).
Qed.
End Right.
